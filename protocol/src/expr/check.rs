//! Does an expression make sense before anything is known of the values?
//!
//! The reference compiles with the kinds it knows and refuses what can not work, in parts that would never run too. So
//! does this, with the kinds of literals, operators and functions; variables may be anything.

use super::ExprError;
use super::ast::{Binary, Column, Each, Logic, Node, Unary};
use super::builtins::Builtin;
use super::value::Value;

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Any,
    /// Nil.
    Nil,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A float.
    Float,
    /// A text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
}

/// A function of an environment.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub parameters: &'static [Kind],
    /// What it gives.
    pub gives: Kind,
}

impl Kind {
    const fn of(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Float(_) => Self::Float,
            Value::Text(_) => Self::Text,
            Value::List(_) => Self::List,
            Value::Map(_) => Self::Map,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Nil => "nil",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "string",
            Self::List => "array",
            Self::Map => "map",
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }

    /// May it be one of these?
    fn may_be(self, kinds: &[Self]) -> bool {
        self == Self::Any || kinds.contains(&self)
    }

    /// Of two values one of which is taken.
    fn either(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }
}

/// Every kind.
const ANYTHING: &[Kind] = &[
    Kind::Nil,
    Kind::Bool,
    Kind::Int,
    Kind::Float,
    Kind::Text,
    Kind::List,
    Kind::Map,
];
/// Numbers.
const NUMBERS: &[Kind] = &[Kind::Int, Kind::Float];
pub(super) fn check(root: &Node, functions: &[Function]) -> Result<(), ExprError> {
    let kind = Checker { functions }.kind(root)?;
    if kind.may_be(&[Kind::Bool]) {
        return Ok(());
    }
    let message = format!("the expression gives {}, not bool", kind.as_str());
    Err(ExprError::new(message, 1))
}

struct Checker<'f> {
    functions: &'f [Function],
}

impl Checker<'_> {
    fn kind(&self, node: &Node) -> Result<Kind, ExprError> {
        Ok(match node {
            Node::Literal(value) => Kind::of(value),
            Node::Name(_) | Node::Item => Kind::Any,
            Node::ItemIndex => Kind::Int,
            Node::List(nodes) => {
                self.all(nodes)?;
                Kind::List
            }
            Node::Map(pairs) => {
                for (key, value) in pairs {
                    self.kind(key)?;
                    self.kind(value)?;
                }
                Kind::Map
            }
            Node::Unary(unary, column, node) => self.unary(*unary, *column, node)?,
            Node::All(logic) => self.logic("and", logic)?,
            Node::Any(logic) => self.logic("or", logic)?,
            Node::Binary(binary, column, sides) => self.binary(*binary, *column, sides)?,
            Node::Compare(first, others) => self.compare(first, others)?,
            Node::Matches(column, node, _) => {
                let kind = self.kind(node)?;
                expect("matches", kind, &[Kind::Text], *column)?;
                Kind::Bool
            }
            Node::If(column, parts) => {
                expect("?", self.kind(&parts.0)?, &[Kind::Bool], *column)?;
                self.kind(&parts.1)?.either(self.kind(&parts.2)?)
            }
            Node::Else(column, sides) => {
                expect("?", self.kind(&sides.0)?, &[Kind::Bool], *column)?;
                Kind::Bool.either(self.kind(&sides.1)?)
            }
            Node::Chain(node) => self.kind(node)?,
            Node::Member { .. } | Node::Slice { .. } => self.access(node)?,
            Node::Call(name, column, nodes) => self.call(name, *column, nodes)?,
            Node::Builtin(builtin, column, nodes) => self.builtin(*builtin, *column, nodes)?,
            Node::Each(each, column, parts) => {
                self.each(*each, *column, &parts.0, parts.1.as_ref())?
            }
        })
    }

    /// A member, an index or a slice.
    fn access(&self, node: &Node) -> Result<Kind, ExprError> {
        match node {
            Node::Member {
                of,
                property,
                column,
                ..
            } => {
                let takes: &[Kind] = match self.kind(property)? {
                    Kind::Text => &[Kind::Map],
                    Kind::Int => &[Kind::List],
                    _ => &[Kind::Map, Kind::List],
                };
                expect("access to a member", self.kind(of)?, takes, *column)?;
                Ok(Kind::Any)
            }
            Node::Slice {
                of,
                from,
                to,
                column,
            } => {
                for bound in from.iter().chain(to) {
                    self.kind(bound)?;
                }
                let kind = self.kind(of)?;
                expect("a slice", kind, &[Kind::Text, Kind::List], *column)?;
                Ok(kind)
            }
            _ => self.kind(node),
        }
    }

    fn builtin(&self, builtin: Builtin, column: Column, nodes: &[Node]) -> Result<Kind, ExprError> {
        for kind in self.all(nodes)? {
            expect(builtin.as_str(), kind, takes(builtin), column)?;
        }
        Ok(gives(builtin))
    }

    fn all(&self, nodes: &[Node]) -> Result<Vec<Kind>, ExprError> {
        nodes.iter().map(|node| self.kind(node)).collect()
    }

    fn unary(&self, unary: Unary, column: Column, node: &Node) -> Result<Kind, ExprError> {
        let kind = self.kind(node)?;
        let takes = match unary {
            Unary::Not => &[Kind::Bool],
            Unary::Minus | Unary::Plus => NUMBERS,
        };
        expect(unary.as_str(), kind, takes, column)?;
        Ok(if unary == Unary::Not {
            Kind::Bool
        } else {
            kind
        })
    }

    fn logic(&self, name: &str, logic: &Logic) -> Result<Kind, ExprError> {
        for kind in self.all(&logic.nodes)? {
            expect(name, kind, &[Kind::Bool], logic.column)?;
        }
        Ok(Kind::Bool)
    }

    fn compare(&self, first: &Node, others: &[(Binary, Column, Node)]) -> Result<Kind, ExprError> {
        let mut left = self.kind(first)?;
        for (binary, column, node) in others {
            let right = self.kind(node)?;
            let fits = left.may_be(NUMBERS) && right.may_be(NUMBERS)
                || left.may_be(&[Kind::Text]) && right.may_be(&[Kind::Text]);
            if !fits {
                return Err(mismatch(binary.as_str(), left, right, *column));
            }
            left = right;
        }
        Ok(Kind::Bool)
    }

    fn binary(
        &self,
        binary: Binary,
        column: Column,
        sides: &(Node, Node),
    ) -> Result<Kind, ExprError> {
        let (left, right) = (self.kind(&sides.0)?, self.kind(&sides.1)?);
        let both = |kinds: &[Kind]| left.may_be(kinds) && right.may_be(kinds);
        let known = left != Kind::Any && right != Kind::Any;
        let (fits, gives) = match binary {
            Binary::Equal | Binary::NotEqual => {
                let comparable = left == right
                    || !known
                    || left == Kind::Nil
                    || right == Kind::Nil
                    || both(NUMBERS);
                (comparable, Kind::Bool)
            }
            Binary::In => {
                let unknown_in_text = left == Kind::Any && right == Kind::Text;
                let fits = unknown_in_text || right.may_be(&[Kind::List, Kind::Map]);
                (fits, Kind::Bool)
            }
            Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
                (both(&[Kind::Text]), Kind::Bool)
            }
            Binary::Range => (both(&[Kind::Int]), Kind::List),
            Binary::Add => {
                let gives = match (left, right) {
                    (Kind::Text, Kind::Text) => Kind::Text,
                    _ => sum(left, right),
                };
                (both(NUMBERS) || both(&[Kind::Text]), gives)
            }
            Binary::Subtract | Binary::Multiply => (both(NUMBERS), sum(left, right)),
            Binary::Divide | Binary::Power => (both(NUMBERS), Kind::Float),
            Binary::Modulo => (both(&[Kind::Int]), Kind::Int),
            Binary::Coalesce if left == Kind::Nil => (true, right),
            Binary::Coalesce => (true, left.either(right)),
            // Comparisons have their own node.
            Binary::Less | Binary::Greater | Binary::AtMost | Binary::AtLeast => (true, Kind::Bool),
        };
        if fits {
            Ok(gives)
        } else {
            Err(mismatch(binary.as_str(), left, right, column))
        }
    }

    fn call(&self, name: &str, column: Column, nodes: &[Node]) -> Result<Kind, ExprError> {
        let kinds = self.all(nodes)?;
        let Some(function) = self.functions.iter().find(|known| known.name == name) else {
            return Ok(Kind::Any);
        };
        if kinds.len() != function.parameters.len() {
            let message = format!(
                "{name} takes {} arguments, found {}",
                function.parameters.len(),
                kinds.len()
            );
            return Err(ExprError::new(message, column));
        }
        for (kind, parameter) in kinds.into_iter().zip(function.parameters) {
            if *parameter != Kind::Any {
                expect(name, kind, &[*parameter, Kind::Nil], column)?;
            }
        }
        Ok(function.gives)
    }

    fn each(
        &self,
        each: Each,
        column: Column,
        list: &Node,
        closure: Option<&Node>,
    ) -> Result<Kind, ExprError> {
        expect(each.as_str(), self.kind(list)?, &[Kind::List], column)?;
        if let Some(closure) = closure {
            let kind = self.kind(closure)?;
            if each != Each::Map {
                expect(each.as_str(), kind, &[Kind::Bool], column)?;
            }
        }
        Ok(match each {
            Each::All | Each::None | Each::Any | Each::One => Kind::Bool,
            Each::Count => Kind::Int,
            Each::Filter | Each::Map => Kind::List,
        })
    }
}

/// What adding two numbers gives.
const fn sum(left: Kind, right: Kind) -> Kind {
    match (left, right) {
        (Kind::Int, Kind::Int) => Kind::Int,
        _ if left.is_number() && right.is_number() => Kind::Float,
        _ => Kind::Any,
    }
}

/// What a builtin's arguments may be.
const fn takes(builtin: Builtin) -> &'static [Kind] {
    match builtin {
        Builtin::Type | Builtin::String => ANYTHING,
        Builtin::Len => &[Kind::Text, Kind::List, Kind::Map],
        Builtin::Abs | Builtin::Ceil | Builtin::Floor | Builtin::Round => NUMBERS,
        Builtin::Int | Builtin::Float => &[Kind::Int, Kind::Float, Kind::Text],
        Builtin::First | Builtin::Last => &[Kind::List],
        Builtin::Keys | Builtin::Values => &[Kind::Map],
        Builtin::Join => &[Kind::List, Kind::Text],
        Builtin::HasPrefix
        | Builtin::HasSuffix
        | Builtin::IndexOf
        | Builtin::Lower
        | Builtin::Replace
        | Builtin::Split
        | Builtin::Trim
        | Builtin::TrimPrefix
        | Builtin::TrimSuffix
        | Builtin::Upper => &[Kind::Text],
    }
}

const fn gives(builtin: Builtin) -> Kind {
    match builtin {
        Builtin::Abs | Builtin::First | Builtin::Last => Kind::Any,
        Builtin::Ceil | Builtin::Floor | Builtin::Round | Builtin::Float => Kind::Float,
        Builtin::IndexOf | Builtin::Int | Builtin::Len => Kind::Int,
        Builtin::HasPrefix | Builtin::HasSuffix => Kind::Bool,
        Builtin::Keys | Builtin::Values | Builtin::Split => Kind::List,
        Builtin::Join
        | Builtin::Lower
        | Builtin::Replace
        | Builtin::String
        | Builtin::Trim
        | Builtin::TrimPrefix
        | Builtin::TrimSuffix
        | Builtin::Type
        | Builtin::Upper => Kind::Text,
    }
}

fn expect(
    operation: &str,
    found: Kind,
    expected: &[Kind],
    column: Column,
) -> Result<(), ExprError> {
    if found.may_be(expected) {
        return Ok(());
    }
    let message = format!("{operation} does not work on {}", found.as_str());
    Err(ExprError::new(message, column))
}

fn mismatch(operation: &str, left: Kind, right: Kind, column: Column) -> ExprError {
    let message = format!(
        "{operation} does not work on {} and {}",
        left.as_str(),
        right.as_str()
    );
    ExprError::new(message, column)
}
