//! From text to tokens.
//!
//! Words that are operators (`and`, `in`, `matches`, …) are told apart here. Comments are `// …` and `/* … */`.

use std::fmt;

use super::ExprError;

/// One word, literal or sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Text between quotes, unescaped.
    Text(String),
    Int(i64),
    Float(f64),
    Name(String),
    /// Operators, brackets, commas.
    Sign(&'static str),
    End,
}

/// Signs, longer ones before their beginnings.
const SIGNS: [&str; 37] = [
    "&&", "||", "**", "==", "!=", "<=", ">=", "??", "?.", "..", "::", "(", ")", "[", "]", "{", "}",
    ",", ";", "%", "+", "-", "^", "*", "!", "<", ">", "=", "&", "|", "?", ":", ".", "#", "/", "@",
    "~",
];

/// Words that are operators.
const WORDS: [&str; 11] = [
    "not",
    "in",
    "or",
    "and",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "let",
    "if",
    "else",
];

/// All tokens with their columns; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ExprError> {
    let mut lexer = Lexer {
        rest: text,
        column: 1,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let column = lexer.column;
        let token = lexer.token()?;
        let ended = token == Token::End;
        tokens.push((token, column));
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    rest: &'t str,
    column: usize,
}

impl<'t> Lexer<'t> {
    fn error(&self, message: impl Into<Box<str>>) -> ExprError {
        ExprError::new(message, self.column)
    }

    /// Goes on by `bytes` and gives them.
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.column += taken.chars().count();
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, holds: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !holds(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn skip_blanks(&mut self) -> Result<(), ExprError> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                let end = self
                    .rest
                    .get(2..)
                    .and_then(|rest| rest.find("*/"))
                    .ok_or_else(|| self.error("the comment has no end"))?;
                self.take(end + 4);
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, ExprError> {
        let mut chars = self.rest.chars();
        let (Some(first), second) = (chars.next(), chars.next()) else {
            return Ok(Token::End);
        };
        match first {
            '\'' | '"' => self.quoted(first),
            '`' => self.raw(),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            _ if is_name_start(first) => {
                let word = self.take_while(is_name_part);
                Ok(match WORDS.iter().find(|known| **known == word) {
                    Some(word) => Token::Sign(word),
                    None => Token::Name(word.to_owned()),
                })
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| self.rest.starts_with(**sign));
                let sign = *sign.ok_or_else(|| {
                    self.error(format!("{first:?} has no meaning in an expression"))
                })?;
                self.take(sign.len());
                Ok(Token::Sign(sign))
            }
        }
    }

    /// Text without escapes; a doubled backtick is one.
    fn raw(&mut self) -> Result<Token, ExprError> {
        let mut text = String::new();
        let open = self.column;
        self.take(1);
        loop {
            text.push_str(self.take_while(|c| c != '`'));
            if self.rest.is_empty() {
                return Err(ExprError::new("the text has no closing quote", open));
            }
            self.take(1);
            if !self.rest.starts_with('`') {
                return Ok(Token::Text(text));
            }
            text.push_str(self.take(1));
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, ExprError> {
        let mut text = String::new();
        let open = self.column;
        self.take(1);
        loop {
            text.push_str(self.take_while(|c| c != quote && c != '\\' && c != '\n'));
            match self.rest.chars().next() {
                Some('\\') => text.push(self.escape()?),
                Some(c) if c == quote => {
                    self.take(1);
                    return Ok(Token::Text(text));
                }
                _ => return Err(ExprError::new("the text has no closing quote", open)),
            }
        }
    }

    /// The character after a backslash.
    fn escape(&mut self) -> Result<char, ExprError> {
        self.take(1);
        let Some(letter) = self.rest.chars().next() else {
            return Err(self.error("a backslash ends the text"));
        };
        let plain = match letter {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '\'' | '"' | '`' | '?' => letter,
            '0'..='3' => return self.coded(0, 3, 8),
            'x' => return self.coded(1, 2, 16),
            'u' if self.rest[1..].starts_with('{') => {
                let digits = self.rest[2..].find('}').unwrap_or(0);
                let c = self.coded(2, digits, 16)?;
                self.take(1);
                return Ok(c);
            }
            'u' => return self.coded(1, 4, 16),
            'U' => return self.coded(1, 8, 16),
            _ => return Err(self.error(format!("\\{letter} is no escape"))),
        };
        self.take(letter.len_utf8());
        Ok(plain)
    }

    /// A character by its number: `digits` of them after `skip` bytes.
    fn coded(&mut self, skip: usize, digits: usize, radix: u32) -> Result<char, ExprError> {
        let code = self
            .rest
            .get(skip..skip + digits)
            .filter(|code| !code.starts_with('+'))
            .and_then(|code| u32::from_str_radix(code, radix).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| self.error("the escape names no character"))?;
        self.take(skip + digits);
        Ok(code)
    }

    fn number(&mut self) -> Result<Token, ExprError> {
        let start = self.rest;
        let radix = match start.get(..2) {
            Some("0x" | "0X") => 16,
            Some("0o" | "0O") => 8,
            Some("0b" | "0B") => 2,
            _ => 10,
        };
        if radix != 10 {
            self.take(2);
            let digits = self.take_while(is_name_part).replace('_', "");
            return i64::from_str_radix(&digits, radix)
                .map(Token::Int)
                .map_err(|_| self.bad_number());
        }
        let is_digit = |c: char| c.is_ascii_digit() || c == '_';
        self.take_while(is_digit);
        let mut is_float = false;
        // Two dots are the range operator, not a fraction.
        if self.rest.starts_with('.') && !self.rest.starts_with("..") {
            is_float = true;
            self.take(1);
            self.take_while(is_digit);
        }
        if self.rest.starts_with(['e', 'E']) {
            is_float = true;
            self.take(1);
            if self.rest.starts_with(['+', '-']) {
                self.take(1);
            }
            self.take_while(is_digit);
        }
        if self.rest.starts_with(is_name_part) {
            return Err(self.bad_number());
        }
        let digits = start[..start.len() - self.rest.len()].replace('_', "");
        let token = if is_float {
            digits
                .parse()
                .ok()
                .filter(|float: &f64| float.is_finite())
                .map(Token::Float)
        } else {
            digits.parse().ok().map(Token::Int)
        };
        token.ok_or_else(|| self.bad_number())
    }

    fn bad_number(&self) -> ExprError {
        self.error("this is no number, or too large for one")
    }
}

fn is_name_start(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphabetic()
}

fn is_name_part(c: char) -> bool {
    is_name_start(c) || c.is_numeric()
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
            Self::Sign(sign) => f.write_str(sign),
            Self::End => f.write_str("the end of the expression"),
        }
    }
}
