//! Random expressions, printed with as few brackets as they need, against evaluators written as plainly as they read.

use proptest::prelude::*;
use serde_json::json;

use super::super::{Expression, Value};
use super::Table;
use crate::filter::{DataPlugins, FactsView, Filter, NodeView};

/// An expression as the oracle sees it.
#[derive(Debug, Clone)]
enum Ast {
    Int(i64),
    Text(String),
    Bool(bool),
    Nil,
    /// A variable of [`variables`], or an unknown one.
    Name(&'static str),
    List(Vec<Self>),
    Not(Box<Self>),
    Minus(Box<Self>),
    Two(&'static str, Box<Self>, Box<Self>),
    NotIn(Box<Self>, Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
    /// A closure that compares every item with a number.
    Each(&'static str, Box<Self>, i64),
}

/// Operators, and how strongly they bind.
const TWO: [(&str, u8); 16] = [
    ("or", 10),
    ("||", 10),
    ("and", 15),
    ("&&", 15),
    ("==", 20),
    ("!=", 20),
    ("<", 20),
    ("<=", 20),
    (">", 20),
    (">=", 20),
    ("in", 20),
    ("contains", 20),
    ("+", 30),
    ("-", 30),
    ("*", 60),
    ("%", 60),
];

fn variables() -> serde_json::Value {
    json!({"n": 3, "text": "ab", "yes": true, "list": [1, 2, 3]})
}

fn binds(operator: &str) -> u8 {
    let known = TWO.iter().find(|(known, _)| *known == operator);
    known.map(|(_, binds)| *binds).unwrap()
}

impl Ast {
    /// Prints so that it can stand where operators that bind less than `least` need brackets.
    fn print(&self, least: u8) -> String {
        let (own, text) = match self {
            Self::Int(number) => (u8::MAX, number.to_string()),
            Self::Text(text) => (u8::MAX, format!("{text:?}")),
            Self::Bool(value) => (u8::MAX, value.to_string()),
            Self::Nil => (u8::MAX, "nil".to_owned()),
            Self::Name(name) => (u8::MAX, (*name).to_owned()),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.print(0)).collect();
                (u8::MAX, format!("[{}]", items.join(", ")))
            }
            Self::Not(inner) => (50, format!("not {}", inner.print(50))),
            Self::Minus(inner) => (90, format!("-{}", inner.print(90))),
            // Neighbouring comparisons would become a chain.
            Self::Two(operator, left, right) => {
                let own = binds(operator);
                let left = left.print(if own == 20 { 21 } else { own });
                (own, format!("{left} {operator} {}", right.print(own + 1)))
            }
            Self::NotIn(left, right) => {
                (20, format!("{} not in {}", left.print(21), right.print(21)))
            }
            Self::If(condition, yes, no) => {
                let (yes, no) = (yes.print(0), no.print(0));
                (0, format!("{} ? {yes} : {no}", condition.print(1)))
            }
            Self::Each(name, list, number) => (
                u8::MAX,
                format!("{name}({}, {{# > {number}}})", list.print(0)),
            ),
        };
        // What starts an operand binds its own operand only, so it needs brackets on the left of stronger operators.
        if own < least {
            format!("({text})")
        } else {
            text
        }
    }

    /// The truth value that literals decide.
    fn constant(&self) -> Option<bool> {
        let decided = |left: &Self, right: &Self, decisive: bool| {
            let sides = [left.constant(), right.constant()];
            if sides.contains(&Some(decisive)) {
                Some(decisive)
            } else {
                sides[0].and(sides[1])
            }
        };
        match self {
            Self::Bool(value) => Some(*value),
            Self::Not(inner) => Some(!inner.constant()?),
            Self::Two("or" | "||", left, right) => decided(left, right, true),
            Self::Two("and" | "&&", left, right) => decided(left, right, false),
            _ => None,
        }
    }

    /// The value, `None` for an error.
    fn value(&self) -> Option<serde_json::Value> {
        use serde_json::Value as V;
        Some(match self {
            Self::Int(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Bool(value) => json!(value),
            Self::Nil => V::Null,
            Self::Name(name) => variables().get(name).cloned().unwrap_or(V::Null),
            Self::List(items) => V::Array(items.iter().map(Self::value).collect::<Option<_>>()?),
            Self::Not(inner) => json!(!inner.value()?.as_bool()?),
            Self::Minus(inner) => json!(inner.value()?.as_i64()?.wrapping_neg()),
            Self::Two("or" | "||" | "and" | "&&", ..) if self.constant().is_some() => {
                json!(self.constant()?)
            }
            // Literals that can not decide are not there.
            Self::Two("or" | "||" | "and" | "&&", left, right) if left.constant().is_some() => {
                right.value()?
            }
            Self::Two("or" | "||" | "and" | "&&", left, right) if right.constant().is_some() => {
                left.value()?
            }
            Self::Two("or" | "||", left, right) => {
                if left.value()?.as_bool()? {
                    json!(true)
                } else {
                    right.value()?
                }
            }
            Self::Two("and" | "&&", left, right) => {
                if left.value()?.as_bool()? {
                    right.value()?
                } else {
                    json!(false)
                }
            }
            Self::Two(operator, left, right) => two(operator, &left.value()?, &right.value()?)?,
            Self::NotIn(left, right) => {
                json!(!two("in", &left.value()?, &right.value()?)?.as_bool()?)
            }
            Self::If(condition, yes, no) => {
                if condition.value()?.as_bool()? {
                    yes.value()?
                } else {
                    no.value()?
                }
            }
            Self::Each(name, list, number) => {
                let list = list.value()?;
                let items = list.as_array()?;
                match *name {
                    "all" => {
                        for item in items {
                            if item.as_i64()? <= *number {
                                return Some(json!(false));
                            }
                        }
                        json!(true)
                    }
                    "any" => {
                        for item in items {
                            if item.as_i64()? > *number {
                                return Some(json!(true));
                            }
                        }
                        json!(false)
                    }
                    _ => {
                        let above: Option<Vec<_>> = items
                            .iter()
                            .map(|item| Some(item.as_i64()? > *number))
                            .collect();
                        json!(above?.into_iter().filter(|above| *above).count())
                    }
                }
            }
        })
    }
}

fn two(
    operator: &str,
    left: &serde_json::Value,
    right: &serde_json::Value,
) -> Option<serde_json::Value> {
    use serde_json::Value as V;
    if let (V::String(a), V::String(b)) = (left, right) {
        return Some(match operator {
            "==" => json!(a == b),
            "!=" => json!(a != b),
            "<" => json!(a < b),
            "<=" => json!(a <= b),
            ">" => json!(a > b),
            ">=" => json!(a >= b),
            "contains" => json!(a.contains(b.as_str())),
            "+" => json!(format!("{a}{b}")),
            _ => return None,
        });
    }
    if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
        return Some(match operator {
            "==" => json!(a == b),
            "!=" => json!(a != b),
            "<" => json!(a < b),
            "<=" => json!(a <= b),
            ">" => json!(a > b),
            ">=" => json!(a >= b),
            "+" => json!(a.wrapping_add(b)),
            "-" => json!(a.wrapping_sub(b)),
            "*" => json!(a.wrapping_mul(b)),
            "%" if b != 0 => json!(a.wrapping_rem(b)),
            _ => return None,
        });
    }
    Some(match (operator, right) {
        ("==", _) => json!(left == right),
        ("!=", _) => json!(left != right),
        ("in", V::Array(items)) => json!(items.contains(left)),
        ("in", V::Null) => json!(false),
        ("contains", _) if left.is_null() || right.is_null() => json!(false),
        _ => return None,
    })
}

fn any_ast() -> impl Strategy<Value = Ast> {
    let leaf = prop_oneof![
        (-3_i64..9).prop_map(|number| if number < 0 {
            Ast::Minus(Box::new(Ast::Int(-number)))
        } else {
            Ast::Int(number)
        }),
        "[ab\"\\\\é]{0,3}".prop_map(Ast::Text),
        any::<bool>().prop_map(Ast::Bool),
        Just(Ast::Nil),
        proptest::sample::select(vec!["n", "text", "yes", "list", "unknown"]).prop_map(Ast::Name),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let one = inner.clone().prop_map(Box::new);
        let two = (one.clone(), one.clone());
        prop_oneof![
            6 => (proptest::sample::select(&TWO[..]), two.clone())
                .prop_map(|((operator, _), (a, b))| Ast::Two(operator, a, b)),
            1 => proptest::collection::vec(inner, 0..4).prop_map(Ast::List),
            1 => one.clone().prop_map(Ast::Not),
            1 => one.clone().prop_map(Ast::Minus),
            1 => two.prop_map(|(a, b)| Ast::NotIn(a, b)),
            1 => (one.clone(), one.clone(), one.clone()).prop_map(|(a, b, c)| Ast::If(a, b, c)),
            1 => (proptest::sample::select(vec!["all", "any", "count"]), one, 0_i64..4)
                .prop_map(|(name, list, number)| Ast::Each(name, list, number)),
        ]
    })
}

/// A data plugin that repeats its query.
#[derive(Debug)]
struct Echo;

impl DataPlugins for Echo {
    fn query(&self, plugin: &str, query: Option<&str>) -> Option<serde_json::Value> {
        (plugin == "echo").then(|| json!({"said": query}))
    }
}

/// A condition a node can be asked for, and whether a node with these facts and classes meets it.
#[derive(Debug, Clone)]
enum Condition {
    Class(String),
    Agent(bool),
    Fact(&'static str, i64),
    Data(bool),
    Broken,
    Not(Box<Self>),
    Both(Box<Self>, Box<Self>),
    One(Box<Self>, Box<Self>),
}

struct Node {
    classes: Vec<String>,
    cpus: i64,
}

impl Condition {
    fn print(&self) -> String {
        match self {
            Self::Class(class) => format!("with({class:?})"),
            Self::Agent(true) => "\"rpcutil\" in agents".to_owned(),
            Self::Agent(false) => "with('puppet')".to_owned(),
            Self::Fact(">", number) => format!("fact('cpus') > {number}"),
            Self::Fact(operator, number) => format!("with('cpus{operator}{number}')"),
            Self::Data(found) => {
                format!("echo('x').said == '{}'", if *found { "x" } else { "y" })
            }
            Self::Broken => "fact('missing') > 1".to_owned(),
            Self::Not(inner) => format!("!({})", inner.print()),
            Self::Both(left, right) => format!("({} and {})", left.print(), right.print()),
            Self::One(left, right) => format!("({} || {})", left.print(), right.print()),
        }
    }

    fn holds(&self, node: &Node) -> Option<bool> {
        Some(match self {
            Self::Class(class) => node.classes.contains(class),
            Self::Agent(known) => *known,
            Self::Fact("=", number) => node.cpus == *number,
            Self::Fact("<=", number) => node.cpus <= *number,
            Self::Fact(_, number) => node.cpus > *number,
            Self::Data(found) => *found,
            Self::Broken => return None,
            Self::Not(inner) => !inner.holds(node)?,
            Self::Both(left, right) => left.holds(node)? && right.holds(node)?,
            Self::One(left, right) => left.holds(node)? || right.holds(node)?,
        })
    }
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        4 => "[a-c]".prop_map(Condition::Class),
        2 => any::<bool>().prop_map(Condition::Agent),
        4 => (proptest::sample::select(vec![">", "=", "<="]), 0_i64..4)
            .prop_map(|(operator, number)| Condition::Fact(operator, number)),
        1 => any::<bool>().prop_map(Condition::Data),
        1 => Just(Condition::Broken),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let one = inner.prop_map(Box::new);
        prop_oneof![
            one.clone().prop_map(Condition::Not),
            (one.clone(), one.clone()).prop_map(|(a, b)| Condition::Both(a, b)),
            (one.clone(), one).prop_map(|(a, b)| Condition::One(a, b)),
        ]
    })
}

proptest! {
    #[test]
    fn expressions_mean_what_the_naive_evaluator_says(ast in any_ast()) {
        let text = ast.print(0);
        let expression = Expression::parse(&text).map_err(|error| {
            TestCaseError::fail(format!("{text}: {error}"))
        })?;
        let found = expression.evaluate(&Table::new(&variables())).ok();
        let expected = ast.value().map(|value| Value::from_json(&value));
        prop_assert_eq!(found, expected, "{}", text);
    }

    #[test]
    fn compound_filters_mean_what_the_naive_evaluator_says(
        conditions in proptest::collection::vec(any_condition(), 1..4),
        classes in proptest::collection::vec("[a-c]", 0..3),
        cpus in 0_i64..4,
    ) {
        let mut filter = Filter::default();
        for condition in &conditions {
            filter.add_compound(&condition.print());
        }
        let json = json!({"cpus": cpus}).to_string();
        let facts = FactsView::parse(&json).unwrap();
        let view = NodeView {
            identity: "n",
            agents: &["rpcutil".to_owned()],
            classes: &classes,
            facts: &facts,
            data: &Echo,
        };
        let node = Node { classes: classes.clone(), cpus };
        let verdicts: Option<Vec<_>> = conditions.iter().map(|one| one.holds(&node)).collect();
        let expected = verdicts.is_some_and(|verdicts| {
            let true_ones = verdicts.iter().filter(|verdict| **verdict).count();
            true_ones * 2 > verdicts.len()
        });
        prop_assert_eq!(filter.matches(&view), expected, "{:?}", filter.compound);
    }

    #[test]
    fn any_text_is_survived(
        text in ".{0,60}|[a-z0-9 .,#'\"()\\[\\]{}?:!<>=+*%|&-]{0,60}|(not |in |1 |\\(|\\)|a |# |any\\(|, |\\.x|\\[|\\]|\\? |: |\\?\\? |== |< ){0,20}",
    ) {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = expression.check(&[]);
            let _ = expression.evaluate(&Table::new(&variables()));
        }
    }
}
