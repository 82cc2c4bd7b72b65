//! Operators with two sides.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::ast::{Binary, Column, Node};
use super::super::{Environment, EvalError, Value, compile_regex};
use super::{Evaluator, REGEX_STEPS, whole};

impl<E: Environment> Evaluator<'_, E> {
    pub(super) fn binary(
        &mut self,
        binary: Binary,
        sides: &(Node, Node),
    ) -> Result<Value, EvalError> {
        let left = self.eval(&sides.0)?;
        if binary == Binary::Coalesce && left != Value::Nil {
            return Ok(left);
        }
        let right = self.eval(&sides.1)?;
        match binary {
            Binary::Coalesce => Ok(right),
            Binary::Equal | Binary::NotEqual => {
                self.pay_value(&left)?;
                Ok(Value::Bool(
                    left.equals(&right) == (binary == Binary::Equal),
                ))
            }
            Binary::In => self.contained(&left, &right),
            Binary::Matches => self.matches(&left, &right),
            Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
                self.pay_value(&left)?;
                search(binary, &left, &right)
            }
            Binary::Range => self.range(&left, &right),
            Binary::Add => {
                if let (Value::Text(left), Value::Text(right)) = (&left, &right) {
                    self.pay_text(left)?;
                    self.pay_text(right)?;
                    return Ok(Value::text(format!("{left}{right}")));
                }
                arithmetic(binary, &left, &right)
            }
            // Comparisons have their own node.
            Binary::Less | Binary::Greater | Binary::AtMost | Binary::AtLeast => {
                order(binary, &left, &right).map(Value::Bool)
            }
            Binary::Subtract
            | Binary::Multiply
            | Binary::Divide
            | Binary::Modulo
            | Binary::Power => arithmetic(binary, &left, &right),
        }
    }

    pub(super) fn compare(
        &mut self,
        first: &Node,
        others: &[(Binary, Column, Node)],
    ) -> Result<Value, EvalError> {
        let mut left = self.eval(first)?;
        for (binary, _, node) in others {
            let right = self.eval(node)?;
            self.pay_value(&right)?;
            if !order(*binary, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn contained(&mut self, needle: &Value, hay: &Value) -> Result<Value, EvalError> {
        let found = match (needle, hay) {
            (_, Value::Nil) => false,
            (_, Value::List(items)) => {
                self.pay_value(hay)?;
                items.iter().any(|item| item.equals(needle))
            }
            (Value::Text(key), Value::Map(members)) => members.contains_key(&**key),
            (Value::Nil, Value::Map(members)) => members.contains_key(""),
            _ => return Err(EvalError::operands("in", &[needle, hay])),
        };
        Ok(Value::Bool(found))
    }

    fn matches(&mut self, text: &Value, pattern: &Value) -> Result<Value, EvalError> {
        match (text, pattern) {
            (Value::Nil, _) | (_, Value::Nil) => Ok(Value::Bool(false)),
            (Value::Text(text), Value::Text(pattern)) => {
                self.pay(REGEX_STEPS)?;
                self.pay_text(text)?;
                let regex = compile_regex(pattern).ok_or_else(|| {
                    let why = format!("{pattern:?} is no regex, or too large a one");
                    EvalError::Failed(why.into())
                })?;
                Ok(Value::Bool(regex.is_match(text)))
            }
            _ => Err(EvalError::operands("matches", &[text, pattern])),
        }
    }

    fn range(&mut self, from: &Value, to: &Value) -> Result<Value, EvalError> {
        let (from, to) = (whole("..", from)?, whole("..", to)?);
        let length = to.saturating_sub(from).saturating_add(1).max(0);
        self.pay(usize::try_from(length).unwrap_or(usize::MAX))?;
        let items = (0..length).map(|step| Value::Int(from + step));
        Ok(Value::List(Arc::new(items.collect())))
    }
}

fn search(binary: Binary, text: &Value, part: &Value) -> Result<Value, EvalError> {
    let found = match (text, part) {
        (Value::Nil, _) | (_, Value::Nil) => false,
        (Value::Text(text), Value::Text(part)) => match binary {
            Binary::StartsWith => text.starts_with(&**part),
            Binary::EndsWith => text.ends_with(&**part),
            _ => text.contains(&**part),
        },
        _ => return Err(EvalError::operands(binary.as_str(), &[text, part])),
    };
    Ok(Value::Bool(found))
}

/// Does the comparison hold? Numbers with numbers, texts with texts.
fn order(binary: Binary, left: &Value, right: &Value) -> Result<bool, EvalError> {
    let order = match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        _ => match (left.as_float(), right.as_float()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => return Err(EvalError::operands(binary.as_str(), &[left, right])),
        },
    };
    // What is no number has no order: nothing holds.
    Ok(match binary {
        Binary::Less => order == Some(Ordering::Less),
        Binary::Greater => order == Some(Ordering::Greater),
        Binary::AtMost => order.is_some_and(Ordering::is_le),
        _ => order.is_some_and(Ordering::is_ge),
    })
}

fn arithmetic(binary: Binary, left: &Value, right: &Value) -> Result<Value, EvalError> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        match binary {
            Binary::Add => return Ok(Value::Int(left.wrapping_add(*right))),
            Binary::Subtract => return Ok(Value::Int(left.wrapping_sub(*right))),
            Binary::Multiply => return Ok(Value::Int(left.wrapping_mul(*right))),
            Binary::Modulo if *right == 0 => return Err(EvalError::DivisionByZero),
            Binary::Modulo => return Ok(Value::Int(left.wrapping_rem(*right))),
            // Dividing and raising always give floats.
            _ => {}
        }
    }
    let sides = (left.as_float(), right.as_float());
    let (Some(a), Some(b)) = sides else {
        return Err(EvalError::operands(binary.as_str(), &[left, right]));
    };
    Ok(Value::Float(match binary {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Power => a.powf(b),
        // Remainders are of whole numbers only.
        _ => return Err(EvalError::operands(binary.as_str(), &[left, right])),
    }))
}
