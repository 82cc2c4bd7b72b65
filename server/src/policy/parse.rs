//! Reading policy files.
//!
//! Every line is a comment, a default, or columns between runs of tabs. Blanks do not part columns.

use super::condition::{Actions, Callers, Condition};
use super::{Effect, LINE_BYTES_MAX, Line, Policy, PolicyWarning};

pub(super) fn policy(text: &str, file_name: &str) -> (Policy, Vec<PolicyWarning>) {
    let mut policy = Policy {
        file_name: file_name.into(),
        default: None,
        lines: Vec::new(),
    };
    let mut warnings = Vec::new();
    for (number, text) in lines(text) {
        let mut warn = |message: String| {
            warnings.push(PolicyWarning {
                file_name: file_name.into(),
                line: number,
                message: message.into(),
            });
        };
        if text.len() >= LINE_BYTES_MAX {
            let why = format!(
                "the line has {} bytes, at most {LINE_BYTES_MAX} are allowed",
                text.len()
            );
            warn(format!(
                "{why}; every call that is not decided before it is denied"
            ));
            policy.lines.push(Line {
                number,
                effect: Effect::Deny,
                callers: Callers::Any,
                actions: Actions::Any,
                condition: Condition::Broken(why.into()),
            });
            break;
        }
        if let Some(effect) = default_effect(text) {
            policy.default = Some(effect);
        } else {
            match line(number, text, &mut warn) {
                Ok(line) => policy.lines.push(line),
                Err(why) => warn(format!("{why}; the line is skipped")),
            }
        }
    }
    (policy, warnings)
}

/// The lines that say something, with their numbers.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    (1..)
        .zip(lines)
        .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty())
}

/// What `policy default …` says; any word but `allow` denies.
fn default_effect(line: &str) -> Option<Effect> {
    let rest = after_blanks(line.strip_prefix("policy")?)?;
    let rest = after_blanks(rest.strip_prefix("default")?)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    match &rest[..end.unwrap_or(rest.len())] {
        "" => None,
        "allow" => Some(Effect::Allow),
        _ => Some(Effect::Deny),
    }
}

/// What follows blanks, of which there must be some.
fn after_blanks(text: &str) -> Option<&str> {
    let rest = text.trim_start();
    (rest.len() < text.len()).then_some(rest)
}

fn line(number: u32, text: &str, warn: &mut impl FnMut(String)) -> Result<Line, &'static str> {
    let (effect, rest) = match (text.strip_prefix("allow"), text.strip_prefix("deny")) {
        (Some(rest), _) => (Effect::Allow, rest),
        (_, Some(rest)) => (Effect::Deny, rest),
        (None, None) => return Err("it starts neither with allow nor with deny"),
    };
    let Some(rest) = rest.strip_prefix('\t') else {
        return Err("no tab follows its effect");
    };
    // Tabs at the end belong to the last column, which then matches nothing.
    let body = rest.trim_end_matches('\t');
    let columns: Vec<&str> = body
        .split('\t')
        .filter(|column| !column.is_empty())
        .collect();
    let [callers, actions, facts, ref others @ ..] = *columns else {
        return Err("it has fewer than four columns between tabs");
    };
    let classes = class_column(others, body.len() < rest.len(), warn);
    if is_compound(facts) || classes.as_deref().is_some_and(is_compound) {
        return Err("compound statements are not supported");
    }
    let (callers, problem) = Callers::parse(callers);
    if let Some(problem) = problem {
        warn(problem);
    }
    let condition = Condition::parse(facts, classes.as_deref());
    if let Some(why) = condition.problem() {
        warn(format!("{why}; calls the line matches so far are denied"));
    }
    Ok(Line {
        number,
        effect,
        callers,
        actions: Actions::parse(actions),
        condition,
    })
}

/// What stands for the classes of a line: the last column behind the facts, if there is one.
fn class_column(others: &[&str], tab_ends: bool, warn: &mut impl FnMut(String)) -> Option<String> {
    let classes = *others.last()?;
    if others.len() > 1 {
        let columns = others.len() + 4;
        warn(format!(
            "the line has {columns} columns, the last one is taken for the classes"
        ));
    }
    if tab_ends {
        warn("a tab ends the line, so its classes match no node".to_owned());
        return Some(format!("{classes}\t"));
    }
    Some(classes.to_owned())
}

/// Does a column hold `and`, `or`, `not`, `!…` or something in brackets?
fn is_compound(column: &str) -> bool {
    column.split(' ').any(|word| {
        let bracketed = word
            .find('(')
            .is_some_and(|open| word[open + 1..].rfind(')').is_some_and(|close| close > 0));
        word.starts_with('!') || matches!(word, "not" | "or" | "and") || bracketed
    })
}
