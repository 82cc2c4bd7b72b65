//! From tokens to the tree, by precedence climbing.
//!
//! | binds | operators |
//! |---|---|
//! | 10 | `or` `\|\|` |
//! | 15 | `and` `&&` |
//! | 20 | `==` `!=` `<` `>` `<=` `>=` `in` `matches` `contains` `startsWith` `endsWith`, the words also after `not` |
//! | 25 | `..` |
//! | 30 | `+` `-` |
//! | 50 | `not` `!` before a value: `not a == b` is `(not a) == b` |
//! | 60 | `*` `/` `%` |
//! | 90 | `-` `+` before a value |
//! | 100 | `**` `^`, from the right |
//! | 500 | `??`, not to be mixed with others without brackets |
//!
//! Below all stand the pipe `x \| lower()` and the conditional `a ? b : c`.

mod primary;

use super::ast::{Binary, Column, Each, Logic, Node, Unary};
use super::lexer::{Token, tokens};
use super::{DEPTH_MAX, EXPRESSION_BYTES_MAX, ExprError, NESTING_MAX, TOKENS_MAX};

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Node, ExprError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!(
            "the expression has {} bytes, at most {EXPRESSION_BYTES_MAX} are allowed",
            text.len()
        );
        return Err(ExprError::new(message, 1));
    }
    let tokens = tokens(text)?;
    if tokens.len() > TOKENS_MAX {
        let message = format!(
            "the expression has {} words and signs, at most {TOKENS_MAX} are allowed",
            tokens.len()
        );
        return Err(ExprError::new(message, 1));
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        nesting: 0,
        closures: Vec::new(),
        regexes: 0,
    };
    let node = parser.expression(0)?;
    if *parser.peek() != Token::End {
        return Err(parser.unexpected());
    }
    if node.depth() > DEPTH_MAX {
        let message = format!("the expression is more than {DEPTH_MAX} operations deep");
        return Err(ExprError::new(message, 1));
    }
    Ok(node)
}

struct Parser {
    tokens: Vec<(Token, Column)>,
    at: usize,
    /// How many expressions are open around this one.
    nesting: usize,
    /// The builtins whose closures are.
    closures: Vec<Each>,
    /// Regexes compiled so far.
    regexes: usize,
}

/// What stands between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Pipe,
    Or,
    And,
    Binary(Binary),
}

impl Operator {
    fn parse(token: &Token) -> Option<Self> {
        let Token::Sign(sign) = token else {
            return None;
        };
        Some(Self::Binary(match *sign {
            "|" => return Some(Self::Pipe),
            "or" | "||" => return Some(Self::Or),
            "and" | "&&" => return Some(Self::And),
            "==" => Binary::Equal,
            "!=" => Binary::NotEqual,
            "<" => Binary::Less,
            ">" => Binary::Greater,
            "<=" => Binary::AtMost,
            ">=" => Binary::AtLeast,
            "in" => Binary::In,
            "matches" => Binary::Matches,
            "contains" => Binary::Contains,
            "startsWith" => Binary::StartsWith,
            "endsWith" => Binary::EndsWith,
            ".." => Binary::Range,
            "+" => Binary::Add,
            "-" => Binary::Subtract,
            "*" => Binary::Multiply,
            "/" => Binary::Divide,
            "%" => Binary::Modulo,
            "**" | "^" => Binary::Power,
            "??" => Binary::Coalesce,
            _ => return None,
        }))
    }

    const fn precedence(self) -> u16 {
        match self {
            Self::Pipe => 0,
            Self::Or => 10,
            Self::And => 15,
            Self::Binary(binary) => match binary {
                Binary::Equal
                | Binary::NotEqual
                | Binary::Less
                | Binary::Greater
                | Binary::AtMost
                | Binary::AtLeast
                | Binary::In
                | Binary::Matches
                | Binary::Contains
                | Binary::StartsWith
                | Binary::EndsWith => 20,
                Binary::Range => 25,
                Binary::Add | Binary::Subtract => 30,
                Binary::Multiply | Binary::Divide | Binary::Modulo => 60,
                Binary::Power => 100,
                Binary::Coalesce => 500,
            },
        }
    }

    /// May `not` stand before it?
    const fn is_negatable(self) -> bool {
        matches!(
            self,
            Self::Binary(
                Binary::In
                    | Binary::Matches
                    | Binary::Contains
                    | Binary::StartsWith
                    | Binary::EndsWith
            )
        )
    }
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn column(&self) -> Column {
        self.tokens[self.at].1
    }

    /// The token; the end is never passed.
    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.at += 1;
        }
        token
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    /// Takes the sign if it stands there.
    fn accept(&mut self, sign: &str) -> bool {
        let accepted = self.is_sign(sign);
        self.at += usize::from(accepted);
        accepted
    }

    fn expect(&mut self, sign: &str) -> Result<(), ExprError> {
        if self.accept(sign) {
            return Ok(());
        }
        let message = format!("{sign} is expected, found {}", self.peek());
        Err(self.error(message))
    }

    fn error(&self, message: impl Into<Box<str>>) -> ExprError {
        ExprError::new(message, self.column())
    }

    fn unexpected(&self) -> ExprError {
        self.error(format!("{} is not expected here", self.peek()))
    }

    /// An expression of operators that bind at least so strongly.
    fn expression(&mut self, precedence: u16) -> Result<Node, ExprError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            let message = format!("more than {NESTING_MAX} expressions are nested");
            return Err(self.error(message));
        }
        let mut node = self.operators(precedence)?;
        if precedence == 0 {
            node = self.conditional(node)?;
        }
        self.nesting -= 1;
        Ok(node)
    }

    fn operators(&mut self, precedence: u16) -> Result<Node, ExprError> {
        let mut left = self.primary()?;
        let mut coalesced = false;
        loop {
            let start = self.at;
            let negated = self.accept("not");
            let operator = Operator::parse(self.peek());
            if negated && !operator.is_some_and(Operator::is_negatable) {
                return Err(self.unexpected());
            }
            let Some(operator) = operator.filter(|found| found.precedence() >= precedence) else {
                self.at = start;
                return Ok(left);
            };
            let is_coalesce = operator == Operator::Binary(Binary::Coalesce);
            if coalesced && !is_coalesce && operator != Operator::Pipe {
                return Err(self.error("?? can not be mixed with other operators without brackets"));
            }
            coalesced = is_coalesce;
            let column = self.column();
            self.at += 1;
            left = self.operation(left, operator, column)?;
            if negated {
                left = Node::Unary(Unary::Not, column, Box::new(left));
            }
        }
    }

    /// The rest of an operation whose left side and operator were read.
    fn operation(
        &mut self,
        left: Node,
        operator: Operator,
        column: Column,
    ) -> Result<Node, ExprError> {
        let binary = match operator {
            Operator::Pipe => return self.pipe(left),
            Operator::And | Operator::Or => return self.logic(left, operator, column),
            Operator::Binary(binary) => binary,
        };
        // Powers group from the right.
        let above = u16::from(binary != Binary::Power);
        let right = self.expression(operator.precedence() + above)?;
        if binary.is_comparison() {
            return self.comparison(left, binary, column, right);
        }
        if let (Binary::Matches, Node::Literal(super::Value::Text(pattern))) = (binary, &right) {
            let regex = self.regex(pattern, column)?;
            return Ok(Node::Matches(column, Box::new(left), regex));
        }
        Ok(Node::Binary(binary, column, Box::new((left, right))))
    }

    fn logic(&mut self, left: Node, operator: Operator, column: Column) -> Result<Node, ExprError> {
        let right = self.expression(operator.precedence() + 1)?;
        let start = |left, decisive| Logic::new(column).with(left, decisive);
        Ok(match (operator, left) {
            (Operator::And, Node::All(logic)) => Node::All(logic.with(right, false)),
            (Operator::And, left) => Node::All(start(left, false).with(right, false)),
            (_, Node::Any(logic)) => Node::Any(logic.with(right, true)),
            (_, left) => Node::Any(start(left, true).with(right, true)),
        })
    }

    fn comparison(
        &mut self,
        left: Node,
        first: Binary,
        column: Column,
        right: Node,
    ) -> Result<Node, ExprError> {
        let mut others = vec![(first, column, right)];
        while let Some(Operator::Binary(next)) = Operator::parse(self.peek()) {
            if !next.is_comparison() {
                break;
            }
            let column = self.column();
            self.at += 1;
            others.push((next, column, self.expression(21)?));
        }
        Ok(Node::Compare(Box::new(left), others))
    }

    fn conditional(&mut self, mut node: Node) -> Result<Node, ExprError> {
        loop {
            let column = self.column();
            if !self.accept("?") {
                return Ok(node);
            }
            if self.accept(":") {
                node = Node::Else(column, Box::new((node, self.expression(0)?)));
            } else {
                let yes = self.expression(0)?;
                self.expect(":")?;
                let no = self.expression(0)?;
                node = Node::If(column, Box::new((node, yes, no)));
            }
        }
    }
}
