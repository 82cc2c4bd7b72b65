//! Reads the filter of a request under the rules of the request schema.

use crate::filter::{FactFilter, FactOperator, Filter};
use crate::json::{LayerError, Reader, Text};

use super::RequestError;

/// Reads the filter object the cursor stands before: `fact`, `cf_class`, `identity` and `compound` must be there.
pub(super) fn read_filter(reader: &mut Reader<'_>) -> Result<Filter, RequestError> {
    let mut fact = None;
    let mut class = None;
    let mut identity = None;
    let mut compound = None;
    let mut agent = Vec::new();
    reader.object("filter")?;
    while let Some(key) = reader.next_key()? {
        match &*key.to_cow() {
            "fact" => fact = Some(read_facts(reader)?),
            "cf_class" => class = Some(read_strings(reader, "filter.cf_class")?),
            "agent" => agent = read_strings(reader, "filter.agent")?,
            "identity" => identity = Some(read_strings(reader, "filter.identity")?),
            "compound" => compound = Some(read_compound(reader)?),
            _ => {
                reader.value()?;
            }
        }
    }
    Ok(Filter {
        fact: fact.ok_or(LayerError::Missing("filter.fact"))?,
        class: class.ok_or(LayerError::Missing("filter.cf_class"))?,
        agent,
        identity: identity.ok_or(LayerError::Missing("filter.identity"))?,
        compound: compound.ok_or(LayerError::Missing("filter.compound"))?,
    })
}

fn read_strings(reader: &mut Reader<'_>, field: &'static str) -> Result<Vec<String>, LayerError> {
    let mut texts = Vec::new();
    reader.array(field)?;
    while reader.next_element()? {
        texts.push(reader.text(field)?.into_owned());
    }
    Ok(texts)
}

fn read_facts(reader: &mut Reader<'_>) -> Result<Vec<FactFilter>, RequestError> {
    let mut facts = Vec::new();
    reader.array("filter.fact")?;
    while reader.next_element()? {
        facts.push(read_fact(reader)?);
    }
    Ok(facts)
}

fn read_fact(reader: &mut Reader<'_>) -> Result<FactFilter, RequestError> {
    let mut fact = Text::new("filter.fact.fact");
    let mut operator = Text::new("filter.fact.operator");
    let mut value = Text::new("filter.fact.value");
    reader.object("filter.fact")?;
    while let Some(key) = reader.next_key()? {
        match &*key.to_cow() {
            "fact" => fact.read(reader)?,
            "operator" => operator.read(reader)?,
            "value" => value.read(reader)?,
            _ => {
                reader.value()?;
            }
        }
    }
    let operator = operator.required()?.to_cow();
    Ok(FactFilter {
        fact: fact.non_empty()?.to_cow().into_owned(),
        operator: FactOperator::parse(&operator).ok_or_else(|| {
            let operator: String = operator.chars().take(16).collect();
            RequestError::UnknownOperator {
                operator: operator.into(),
            }
        })?,
        value: value.non_empty()?.to_cow().into_owned(),
    })
}

/// Compound entries are kept as values: one of a shape nobody knows makes the node not match, not the request invalid.
fn read_compound(reader: &mut Reader<'_>) -> Result<Vec<serde_json::Value>, LayerError> {
    const FIELD: &str = "filter.compound";
    let mut entries = Vec::new();
    reader.array(FIELD)?;
    while reader.next_element()? {
        let entry = serde_json::from_str(reader.value()?);
        // The reader takes some texts `serde_json` refuses, such as numbers beyond the range of a float.
        entries.push(entry.map_err(|_| LayerError::WrongType {
            field: FIELD,
            expected: "valid",
        })?);
    }
    Ok(entries)
}
