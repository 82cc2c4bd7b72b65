//! Values, brackets, calls, and what may follow them: members, indices, slices.

use regex::Regex;

use super::super::ast::{Column, Each, Node, Unary};
use super::super::builtins::{Builtin, UNSUPPORTED};
use super::super::lexer::Token;
use super::super::{ExprError, REGEXES_MAX, Value, compile_regex};
use super::Parser;

/// How strongly `not` binds a value.
const NOT_PRECEDENCE: u16 = 50;
/// How strongly a sign binds a number.
const SIGN_PRECEDENCE: u16 = 90;

impl Parser {
    pub(super) fn primary(&mut self) -> Result<Node, ExprError> {
        let column = self.column();
        let unary = match self.peek() {
            Token::Sign("not" | "!") => Some((Unary::Not, NOT_PRECEDENCE)),
            Token::Sign("-") => Some((Unary::Minus, SIGN_PRECEDENCE)),
            Token::Sign("+") => Some((Unary::Plus, SIGN_PRECEDENCE)),
            _ => None,
        };
        if let Some((unary, precedence)) = unary {
            self.next();
            let node = self.expression(precedence)?;
            return self.postfix(Node::Unary(unary, column, Box::new(node)));
        }
        if self.accept("(") {
            let node = self.expression(0)?;
            self.expect(")")?;
            return self.postfix(node);
        }
        if !self.closures.is_empty() && self.is_sign(".") {
            // The dot is read again as the member's.
            return self.postfix(Node::Item);
        }
        if !self.closures.is_empty() && self.accept("#") {
            let node = match self.peek() {
                Token::Name(name)
                    if name == "index" && self.closures.last() == Some(&Each::Map) =>
                {
                    self.next();
                    Node::ItemIndex
                }
                Token::Name(name) => {
                    let message = format!("#{name} is not known here");
                    return Err(self.error(message));
                }
                _ => Node::Item,
            };
            return self.postfix(node);
        }
        self.secondary(column)
    }

    fn secondary(&mut self, column: Column) -> Result<Node, ExprError> {
        let node = match self.peek() {
            Token::Name(_) => {
                let Token::Name(name) = self.next() else {
                    return Err(self.unexpected());
                };
                match &*name {
                    "true" => return Ok(Node::Literal(Value::Bool(true))),
                    "false" => return Ok(Node::Literal(Value::Bool(false))),
                    "nil" => return Ok(Node::Literal(Value::Nil)),
                    "$env" => {
                        let message = "$env is not supported";
                        return Err(ExprError::new(message, column));
                    }
                    _ if self.is_sign("(") => self.call(&name, column, Vec::new())?,
                    _ => Node::Name(name.into()),
                }
            }
            Token::Int(number) => {
                let number = *number;
                self.next();
                return Ok(Node::Literal(Value::Int(number)));
            }
            Token::Float(number) => {
                let number = *number;
                self.next();
                return Ok(Node::Literal(Value::Float(number)));
            }
            Token::Text(text) => {
                let text = Value::text(text.as_str());
                self.next();
                Node::Literal(text)
            }
            Token::Sign("[") => self.list()?,
            Token::Sign("{") => self.map()?,
            Token::Sign(sign @ ("let" | "if")) => {
                let message = format!("{sign} is not supported");
                return Err(self.error(message));
            }
            _ => return Err(self.unexpected()),
        };
        self.postfix(node)
    }

    /// The rest of `x | name(…)`: x is the first argument.
    pub(super) fn pipe(&mut self, first: Node) -> Result<Node, ExprError> {
        let column = self.column();
        let Token::Name(name) = self.next() else {
            return Err(ExprError::new("a function is expected after |", column));
        };
        self.call(&name, column, vec![first])
    }

    fn call(
        &mut self,
        name: &str,
        column: Column,
        arguments: Vec<Node>,
    ) -> Result<Node, ExprError> {
        if let Some(each) = Each::parse(name) {
            return self.each(each, column, arguments);
        }
        let arguments = self.arguments(arguments)?;
        if let Some(builtin) = Builtin::parse(name) {
            if !builtin.takes(arguments.len()) {
                let message = format!("{name} does not take {} arguments", arguments.len());
                return Err(ExprError::new(message, column));
            }
            return Ok(Node::Builtin(builtin, column, arguments));
        }
        if UNSUPPORTED.contains(&name) {
            let message = format!("the function {name} is not supported");
            return Err(ExprError::new(message, column));
        }
        Ok(Node::Call(name.into(), column, arguments))
    }

    fn each(
        &mut self,
        each: Each,
        column: Column,
        arguments: Vec<Node>,
    ) -> Result<Node, ExprError> {
        self.expect("(")?;
        let list = match arguments.into_iter().next() {
            Some(piped) => piped,
            None => {
                let list = self.expression(0)?;
                if !self.is_sign(")") {
                    self.expect(",")?;
                }
                list
            }
        };
        let closure = if self.is_sign(")") {
            if each != Each::Count {
                let message = format!("{} needs a list and a condition", each.as_str());
                return Err(self.error(message));
            }
            None
        } else {
            Some(self.closure(each)?)
        };
        self.accept(",");
        self.expect(")")?;
        Ok(Node::Each(each, column, Box::new((list, closure))))
    }

    fn closure(&mut self, each: Each) -> Result<Node, ExprError> {
        let in_braces = self.accept("{");
        self.closures.push(each);
        let node = self.expression(0)?;
        self.closures.pop();
        if in_braces {
            self.expect("}")?;
        }
        Ok(node)
    }

    /// What stands between round brackets, after `arguments`.
    fn arguments(&mut self, mut arguments: Vec<Node>) -> Result<Vec<Node>, ExprError> {
        self.expect("(")?;
        arguments.extend(self.items(")")?);
        Ok(arguments)
    }

    fn list(&mut self) -> Result<Node, ExprError> {
        self.expect("[")?;
        Ok(Node::List(self.items("]")?))
    }

    /// Expressions between commas up to `close`; one comma may stand before it.
    fn items(&mut self, close: &str) -> Result<Vec<Node>, ExprError> {
        let mut items = Vec::new();
        while !self.accept(close) {
            items.push(self.expression(0)?);
            if !self.is_sign(close) {
                self.expect(",")?;
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Result<Node, ExprError> {
        self.expect("{")?;
        let mut pairs = Vec::new();
        while !self.accept("}") {
            let key = match self.peek() {
                Token::Name(text) | Token::Text(text) => {
                    let key = Value::text(text.as_str());
                    self.next();
                    Node::Literal(key)
                }
                Token::Int(number) => {
                    let key = Value::text(number.to_string());
                    self.next();
                    Node::Literal(key)
                }
                Token::Sign("(") => self.expression(0)?,
                _ => return Err(self.error("a key is a name, a text or stands in brackets")),
            };
            self.expect(":")?;
            pairs.push((key, self.expression(0)?));
            if !self.is_sign("}") {
                self.expect(",")?;
            }
        }
        Ok(Node::Map(pairs))
    }

    /// Members, indices and slices of a value.
    fn postfix(&mut self, mut node: Node) -> Result<Node, ExprError> {
        loop {
            if self.accept("[") {
                node = self.index(node, false)?;
            } else if self.accept("?.") {
                node = if self.accept("[") {
                    self.index(node, true)?
                } else {
                    self.member(node, true)?
                };
            } else if self.accept(".") {
                node = self.member(node, false)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn member(&mut self, node: Node, optional: bool) -> Result<Node, ExprError> {
        let column = self.column();
        let name = match self.next() {
            Token::Name(name) => name,
            // Words that are operators elsewhere are names here.
            Token::Sign(word) if word.starts_with(char::is_alphabetic) => word.to_owned(),
            token => {
                let message = format!("a name is expected after the dot, found {token}");
                return Err(ExprError::new(message, column));
            }
        };
        if self.is_sign("(") {
            let message = format!("{name} is no function, and values have no methods");
            return Err(ExprError::new(message, column));
        }
        // A chain goes on through dots, and ends as one.
        let (of, in_chain) = match node {
            Node::Chain(inner) => (inner, true),
            other => (Box::new(other), false),
        };
        let member = Node::Member {
            of,
            property: Box::new(Node::Literal(Value::text(name))),
            optional,
            column,
        };
        Ok(if in_chain || optional {
            Node::Chain(Box::new(member))
        } else {
            member
        })
    }

    /// The rest of `x[…]`.
    fn index(&mut self, node: Node, optional: bool) -> Result<Node, ExprError> {
        let column = self.column();
        let from = if self.is_sign(":") {
            None
        } else {
            Some(Box::new(self.expression(0)?))
        };
        let is_slice = self.accept(":");
        let to = if is_slice && !self.is_sign("]") {
            Some(Box::new(self.expression(0)?))
        } else {
            None
        };
        self.expect("]")?;
        let of = Box::new(node);
        Ok(match from {
            Some(property) if !is_slice => {
                let member = Node::Member {
                    of,
                    property,
                    optional,
                    column,
                };
                if optional {
                    Node::Chain(Box::new(member))
                } else {
                    member
                }
            }
            from => Node::Slice {
                of,
                from,
                to,
                column,
            },
        })
    }

    /// Compiles a regex that stands in the text.
    pub(super) fn regex(&mut self, pattern: &str, column: Column) -> Result<Regex, ExprError> {
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            let message = format!("more than {REGEXES_MAX} regexes in one expression");
            return Err(ExprError::new(message, column));
        }
        compile_regex(pattern).ok_or_else(|| {
            let message = format!("{pattern:?} is no regex, or too large a one");
            ExprError::new(message, column)
        })
    }
}
