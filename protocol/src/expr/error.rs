//! What can be wrong with an expression: with its text, or with what it does to the values it meets.

use std::fmt;

/// A text is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// What is wrong.
    pub message: Box<str>,
    /// Where, in characters, the first being 1.
    pub column: usize,
}

/// An expression can not be evaluated here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvalError {
    /// An operator or function can not work on values of these kinds.
    Operands {
        /// The operator or function.
        operation: Box<str>,
        /// The kinds it met, in order.
        kinds: Box<str>,
    },
    /// A call of something that is no function.
    UnknownFunction(Box<str>),
    /// A function got too few or too many arguments.
    ArgumentCount {
        /// The function.
        function: Box<str>,
        /// How many it got.
        found: usize,
    },
    /// An index outside of a list or text.
    OutOfRange {
        /// The index.
        index: i64,
        /// How long the list or text is.
        length: usize,
    },
    /// A whole number divided by zero.
    DivisionByZero,
    /// The expression does not give true or false.
    NotBool(&'static str),
    /// The expression asks for more than [`STEPS_MAX`](super::STEPS_MAX) steps.
    TooMuchWork,
    /// A function can not do what it is asked, in its own words.
    Failed(Box<str>),
}

impl ExprError {
    pub(super) fn new(message: impl Into<Box<str>>, column: usize) -> Self {
        Self {
            message: message.into(),
            column,
        }
    }
}

impl EvalError {
    /// An operation met values of the wrong kinds.
    pub(crate) fn operands(operation: &str, values: &[&super::Value]) -> Self {
        let kinds: Vec<_> = values.iter().map(|value| value.kind()).collect();
        Self::Operands {
            operation: operation.into(),
            kinds: kinds.join(" and ").into(),
        }
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for ExprError {}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operands { operation, kinds } => {
                write!(f, "{operation} does not work on {kinds}")
            }
            Self::UnknownFunction(name) => write!(f, "there is no function {name}"),
            Self::ArgumentCount { function, found } => {
                write!(f, "{function} does not take {found} arguments")
            }
            Self::OutOfRange { index, length } => {
                write!(f, "index {index} is outside of a length of {length}")
            }
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::NotBool(kind) => write!(f, "the expression gives {kind}, not bool"),
            Self::TooMuchWork => write!(
                f,
                "the expression takes more than {} steps",
                super::STEPS_MAX
            ),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for EvalError {}
