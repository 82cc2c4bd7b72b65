//! Which nodes are meant: filters on the command line.

use clap::Args;
use muster_protocol::filter::{Filter, check_compound, parse_fact_filter, parse_with};

use crate::exit::Failure;

/// Filters. Several of one kind narrow the selection down, but for identities, which add up.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// Nodes with a fact of that value; operators = != < > <= >= =~, regular expressions between slashes.
    #[arg(short = 'F', long = "wf", value_name = "FACT=VALUE")]
    facts: Vec<String>,
    /// Nodes with a class, or with one that matches /REGEX/.
    #[arg(short = 'C', long = "wc", value_name = "CLASS")]
    classes: Vec<String>,
    /// Nodes with an identity, or with one that matches /REGEX/.
    #[arg(short = 'I', long = "wi", value_name = "IDENTITY")]
    identities: Vec<String>,
    /// Nodes with an agent, or with one that matches /REGEX/.
    #[arg(short = 'A', long = "wa", value_name = "AGENT")]
    agents: Vec<String>,
    /// Facts and classes in one text, separated by blanks.
    #[arg(short = 'W', long = "with", value_name = "TEXT")]
    with: Vec<String>,
    /// Nodes for which an expression is true, such as: with('role::db') and fact('os.family') == 'Debian'.
    #[arg(short = 'S', long, value_name = "EXPRESSION")]
    select: Option<String>,
}

impl FilterArgs {
    /// The filter as it travels.
    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter {
            class: self.classes.clone(),
            identity: self.identities.clone(),
            agent: self.agents.clone(),
            ..Filter::default()
        };
        for text in &self.facts {
            filter
                .fact
                .push(parse_fact_filter(text).map_err(Failure::new)?);
        }
        for text in &self.with {
            parse_with(&mut filter, text);
        }
        if let Some(expression) = &self.select {
            check_compound(expression)
                .map_err(|error| Failure::new(format!("-S {expression:?}: {error}")))?;
            filter.add_compound(expression);
        }
        Ok(filter)
    }

    /// Whether nothing is filtered by.
    pub(crate) fn is_empty(&self) -> bool {
        [
            &self.facts,
            &self.classes,
            &self.identities,
            &self.agents,
            &self.with,
        ]
        .iter()
        .all(|texts| texts.is_empty())
            && self.select.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_fact_filter_is_refused() {
        let args = FilterArgs {
            facts: vec!["country".to_owned()],
            ..FilterArgs::default()
        };
        assert!(!args.is_empty());
        assert!(args.filter().is_err());
    }

    #[test]
    fn a_broken_expression_is_refused_and_shown() {
        let args = |text: &str| FilterArgs {
            select: Some(text.to_owned()),
            ..FilterArgs::default()
        };
        assert!(!args("true").is_empty());
        assert_eq!(args("with('a')").filter().unwrap().compound.len(), 1);
        let failure = args("with('a'").filter().unwrap_err().to_string();
        assert!(failure.starts_with("-S \"with('a'\": "), "{failure}");
    }
}
