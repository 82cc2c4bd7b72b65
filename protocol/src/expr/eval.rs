//! From the tree and an environment to a value.
//!
//! The depth of the tree is bounded by the parser, the work by [`STEPS_MAX`]: every node visited, item made and piece
//! of text copied is paid for, so that no expression keeps a node busy.

mod operators;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Each, Logic, Node, Unary};
use super::builtins::{Builtin, truncate};
use super::{Environment, EvalError, STEPS_MAX, Value};

/// Bytes of text that are copied or looked through for one step.
const BYTES_A_STEP: usize = 16;
/// Steps of a regex that must be compiled while evaluating.
const REGEX_STEPS: usize = 1_000;

/// One evaluation.
pub(super) struct Evaluator<'e, E> {
    environment: &'e E,
    steps: usize,
    /// What `#` is, innermost closure last.
    items: Vec<(i64, Value)>,
}

impl<'e, E: Environment> Evaluator<'e, E> {
    pub(super) const fn new(environment: &'e E) -> Self {
        Self {
            environment,
            steps: STEPS_MAX,
            items: Vec::new(),
        }
    }

    /// Takes steps from the budget.
    fn pay(&mut self, steps: usize) -> Result<(), EvalError> {
        self.steps = self
            .steps
            .checked_sub(steps)
            .ok_or(EvalError::TooMuchWork)?;
        Ok(())
    }

    fn pay_text(&mut self, text: &str) -> Result<(), EvalError> {
        self.pay(text.len() / BYTES_A_STEP)
    }

    pub(super) fn eval(&mut self, node: &Node) -> Result<Value, EvalError> {
        self.pay(1)?;
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Name(name) => Ok(self.environment.variable(name).unwrap_or(Value::Nil)),
            Node::Item => Ok(self.items.last().map_or(Value::Nil, |item| item.1.clone())),
            Node::ItemIndex => Ok(Value::Int(self.items.last().map_or(0, |item| item.0))),
            Node::List(nodes) => Ok(Value::List(Arc::new(self.eval_all(nodes)?))),
            Node::Map(pairs) => self.map(pairs),
            Node::Unary(unary, _, node) => {
                let value = self.eval(node)?;
                negate(*unary, value)
            }
            Node::All(logic) => self.logic(logic, false),
            Node::Any(logic) => self.logic(logic, true),
            Node::Binary(binary, _, sides) => self.binary(*binary, sides),
            Node::Compare(first, others) => self.compare(first, others),
            Node::Matches(_, node, regex) => match self.eval(node)? {
                Value::Nil => Ok(Value::Bool(false)),
                Value::Text(text) => {
                    self.pay_text(&text)?;
                    Ok(Value::Bool(regex.is_match(&text)))
                }
                other => Err(EvalError::operands("matches", &[&other])),
            },
            Node::If(_, parts) => match self.condition("?", &parts.0)? {
                true => self.eval(&parts.1),
                false => self.eval(&parts.2),
            },
            Node::Else(_, sides) => match self.condition("?", &sides.0)? {
                true => Ok(Value::Bool(true)),
                false => self.eval(&sides.1),
            },
            Node::Member { .. } => Ok(self.link(node)?.unwrap_or(Value::Nil)),
            Node::Chain(node) => Ok(self.link(node)?.unwrap_or(Value::Nil)),
            Node::Slice { of, from, to, .. } => self.slice(of, from.as_deref(), to.as_deref()),
            Node::Call(name, _, nodes) => {
                let arguments = self.eval_all(nodes)?;
                self.pay(self.environment.cost(name, &arguments))?;
                self.environment.call(name, &arguments)
            }
            Node::Builtin(builtin, _, nodes) => self.builtin(*builtin, nodes),
            Node::Each(each, _, parts) => self.each(*each, &parts.0, parts.1.as_ref()),
        }
    }

    fn eval_all(&mut self, nodes: &[Node]) -> Result<Vec<Value>, EvalError> {
        nodes.iter().map(|node| self.eval(node)).collect()
    }

    fn builtin(&mut self, builtin: Builtin, nodes: &[Node]) -> Result<Value, EvalError> {
        let arguments = self.eval_all(nodes)?;
        for argument in &arguments {
            self.pay_value(argument)?;
        }
        let value = builtin.call(&arguments)?;
        self.pay_value(&value)?;
        Ok(value)
    }

    /// Pays for going through a value once.
    fn pay_value(&mut self, value: &Value) -> Result<(), EvalError> {
        match value {
            Value::Text(text) => self.pay_text(text),
            Value::List(items) => {
                self.pay(items.len())?;
                items.iter().try_for_each(|item| self.pay_value(item))
            }
            Value::Map(members) => {
                self.pay(members.len())?;
                members
                    .values()
                    .try_for_each(|member| self.pay_value(member))
            }
            Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) => Ok(()),
        }
    }

    fn map(&mut self, pairs: &[(Node, Node)]) -> Result<Value, EvalError> {
        let mut members = BTreeMap::new();
        for (key, value) in pairs {
            let key = match self.eval(key)? {
                Value::Text(key) => {
                    self.pay_text(&key)?;
                    key.to_string()
                }
                other => return Err(EvalError::operands("a key", &[&other])),
            };
            let value = self.eval(value)?;
            // Of two members of one name the first counts.
            members.entry(key).or_insert(value);
        }
        Ok(Value::Map(Arc::new(members)))
    }

    /// The value of the first node that is `decisive`, else of the last, which may be anything. Nodes that can not
    /// decide are left out.
    fn logic(&mut self, logic: &Logic, decisive: bool) -> Result<Value, EvalError> {
        if let Some(value) = logic.constant {
            return Ok(Value::Bool(value));
        }
        let name = if decisive { "or" } else { "and" };
        let open = |node: &&Node| node.constant().is_none();
        let mut nodes = logic.nodes.iter().filter(open).peekable();
        while let Some(node) = nodes.next() {
            if nodes.peek().is_none() {
                return self.eval(node);
            }
            if self.condition(name, node)? == decisive {
                return Ok(Value::Bool(decisive));
            }
        }
        Ok(Value::Bool(!decisive))
    }

    fn condition(&mut self, operation: &str, node: &Node) -> Result<bool, EvalError> {
        match self.eval(node)? {
            Value::Bool(value) => Ok(value),
            other => Err(EvalError::operands(operation, &[&other])),
        }
    }

    /// A link of a chain of members; `None` once an optional one met nil.
    fn link(&mut self, node: &Node) -> Result<Option<Value>, EvalError> {
        let Node::Member {
            of,
            property,
            optional,
            ..
        } = node
        else {
            return self.eval(node).map(Some);
        };
        self.pay(1)?;
        let Some(of) = self.link(of)? else {
            return Ok(None);
        };
        if *optional && of == Value::Nil {
            return Ok(None);
        }
        let property = self.eval(property)?;
        member(&of, &property).map(Some)
    }

    fn slice(
        &mut self,
        of: &Node,
        from: Option<&Node>,
        to: Option<&Node>,
    ) -> Result<Value, EvalError> {
        let of = self.eval(of)?;
        let length = match &of {
            Value::Text(text) => text.len(),
            Value::List(items) => items.len(),
            _ => return Err(EvalError::operands("a slice", &[&of])),
        };
        let to = match to {
            Some(node) => bound(&self.eval(node)?, length)?,
            None => length,
        };
        let from = match from {
            Some(node) => bound(&self.eval(node)?, length)?.min(to),
            None => 0,
        };
        self.pay(to - from)?;
        match of {
            // Slicing in the middle of a character leaves a replacement character, not an invalid text.
            Value::Text(text) => Ok(Value::text(
                String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned(),
            )),
            Value::List(items) => Ok(Value::list(items[from..to].iter().cloned())),
            other => Err(EvalError::operands("a slice", &[&other])),
        }
    }

    fn each(
        &mut self,
        each: Each,
        list: &Node,
        closure: Option<&Node>,
    ) -> Result<Value, EvalError> {
        let items = match self.eval(list)? {
            Value::List(items) => items,
            other => return Err(EvalError::operands(each.as_str(), &[&other])),
        };
        self.pay(items.len())?;
        let mut count = 0_i64;
        let mut kept = Vec::new();
        for (index, item) in (0_i64..).zip(items.iter()) {
            let value = match closure {
                Some(closure) => {
                    self.items.push((index, item.clone()));
                    let value = self.eval(closure);
                    self.items.pop();
                    value?
                }
                None => item.clone(),
            };
            if each == Each::Map {
                kept.push(value);
                continue;
            }
            let Value::Bool(holds) = value else {
                return Err(EvalError::operands(each.as_str(), &[&value]));
            };
            match each {
                Each::All if !holds => return Ok(Value::Bool(false)),
                Each::None if holds => return Ok(Value::Bool(false)),
                Each::Any if holds => return Ok(Value::Bool(true)),
                Each::Filter if holds => kept.push(item.clone()),
                _ => count += i64::from(holds),
            }
        }
        Ok(match each {
            Each::All | Each::None => Value::Bool(true),
            Each::Any => Value::Bool(false),
            Each::One => Value::Bool(count == 1),
            Each::Count => Value::Int(count),
            Each::Filter | Each::Map => Value::List(Arc::new(kept)),
        })
    }
}

fn member(of: &Value, property: &Value) -> Result<Value, EvalError> {
    match (of, property) {
        (Value::Map(members), Value::Text(key)) => {
            Ok(members.get(&**key).cloned().unwrap_or(Value::Nil))
        }
        (Value::Map(members), Value::Nil) => Ok(members.get("").cloned().unwrap_or(Value::Nil)),
        (Value::List(items), Value::Int(_) | Value::Float(_)) => {
            let at = place(property, items.len())?;
            Ok(items[at].clone())
        }
        // A text is a row of bytes to an index.
        (Value::Text(text), Value::Int(_) | Value::Float(_)) => {
            let at = place(property, text.len())?;
            Ok(Value::Int(text.as_bytes()[at].into()))
        }
        _ => Err(EvalError::operands("access to a member", &[of, property])),
    }
}

fn negate(unary: Unary, value: Value) -> Result<Value, EvalError> {
    match (unary, value) {
        (Unary::Not, Value::Bool(value)) => Ok(Value::Bool(!value)),
        (Unary::Minus, Value::Int(number)) => Ok(Value::Int(number.wrapping_neg())),
        (Unary::Minus, Value::Float(number)) => Ok(Value::Float(-number)),
        (Unary::Plus, value) => Ok(value),
        (unary, value) => Err(EvalError::operands(unary.as_str(), &[&value])),
    }
}

/// A number as a whole one.
fn whole(operation: &str, value: &Value) -> Result<i64, EvalError> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Float(number) => Ok(truncate(*number)),
        _ => Err(EvalError::operands(operation, &[value])),
    }
}

/// The place of an index that may count from the end.
fn place(index: &Value, length: usize) -> Result<usize, EvalError> {
    let index = whole("an index", index)?;
    let from_end = usize::try_from(index.unsigned_abs()).ok();
    let at = if index < 0 {
        from_end.and_then(|back| length.checked_sub(back))
    } else {
        from_end
    };
    at.filter(|at| *at < length)
        .ok_or(EvalError::OutOfRange { index, length })
}

/// The bound of a slice, which may count from the end and is moved inside.
fn bound(value: &Value, length: usize) -> Result<usize, EvalError> {
    let bound = whole("a slice", value)?;
    let from_end = usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(if bound < 0 {
        length.saturating_sub(from_end)
    } else {
        from_end.min(length)
    })
}
