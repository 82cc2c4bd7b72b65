//! Some of the nodes, by number or share: `10` or `25%`.
//!
//! A limit takes from the nodes there are and never adds any; one that leaves nobody is an error, since it was not what anybody meant.

use std::fmt;

use fastrand::Rng;

/// How many of the nodes are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many, or all where there are fewer.
    Count(usize),
    /// So many in a hundred, rounded down; 1 to 100.
    Percent(u8),
}

/// Which of the nodes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitMethod {
    /// The first ones of the list.
    First,
    /// Any, by a seed: the same seed and the same nodes give the same choice, in whatever order the nodes came.
    Random {
        /// What the choice comes from.
        seed: u64,
    },
}

/// Why a limit can not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitError {
    /// The text is neither a number nor a share.
    NotALimit(Box<str>),
    /// A share of more than everybody.
    TooLarge(u64),
    /// It leaves nobody of so many nodes.
    Nobody {
        /// The limit.
        limit: Limit,
        /// Nodes there are.
        nodes: usize,
    },
}

impl Limit {
    /// Reads `10` or `10%`.
    ///
    /// # Errors
    /// It is neither, it is zero, or it is more than 100%.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let not_a_limit = || LimitError::NotALimit(text.into());
        let (digits, is_share) = match text.strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        // `parse` alone would take a plus sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_a_limit());
        }
        let number: u64 = digits.parse().map_err(|_| not_a_limit())?;
        match (number, is_share) {
            (0, _) => Err(not_a_limit()),
            (1..=100, true) => Ok(Self::Percent(
                u8::try_from(number).map_err(|_| not_a_limit())?,
            )),
            (_, true) => Err(LimitError::TooLarge(number)),
            (_, false) => Ok(Self::Count(usize::try_from(number).unwrap_or(usize::MAX))),
        }
    }

    /// Takes from the nodes, each of which is named once. Nobody of nobody is no error.
    ///
    /// # Errors
    /// The share of the nodes is less than one.
    pub fn apply(
        self,
        mut nodes: Vec<String>,
        method: LimitMethod,
    ) -> Result<Vec<String>, LimitError> {
        if nodes.is_empty() {
            return Ok(nodes);
        }
        let take = match self {
            Self::Count(count) => count.min(nodes.len()),
            Self::Percent(percent) => nodes.len().saturating_mul(percent.into()) / 100,
        };
        if take == 0 {
            return Err(LimitError::Nobody {
                limit: self,
                nodes: nodes.len(),
            });
        }
        if let LimitMethod::Random { seed } = method {
            nodes.sort_unstable();
            Rng::with_seed(seed).shuffle(&mut nodes);
        }
        nodes.truncate(take);
        Ok(nodes)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALimit(text) => {
                write!(
                    f,
                    "limit {text:?} is neither a number of nodes nor a share such as 10%"
                )
            }
            Self::TooLarge(percent) => write!(f, "limit {percent}% is more than 100%"),
            Self::Nobody { limit, nodes } => {
                write!(f, "limit {limit} leaves none of {nodes} nodes")
            }
        }
    }
}

impl std::error::Error for LimitError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("n{i:02}")).collect()
    }

    #[test]
    fn numbers_and_shares_are_read() {
        assert_eq!(Limit::parse("10"), Ok(Limit::Count(10)));
        assert_eq!(Limit::parse("1%"), Ok(Limit::Percent(1)));
        assert_eq!(Limit::parse("100%"), Ok(Limit::Percent(100)));
        assert_eq!(Limit::parse("101%"), Err(LimitError::TooLarge(101)));
        for bad in ["", "%", "0", "0%", "-1", "+1", "1.5", "1.5%", "ten", "1 %"] {
            let error = Limit::parse(bad).unwrap_err();
            assert_eq!(error, LimitError::NotALimit(bad.into()));
        }
    }

    #[test]
    fn the_first_are_taken_and_nobody_is_added() {
        let take = |limit: &str, count| {
            let limit = Limit::parse(limit).unwrap();
            limit.apply(nodes(count), LimitMethod::First)
        };
        assert_eq!(take("2", 5).unwrap(), nodes(2));
        assert_eq!(take("9", 5).unwrap(), nodes(5));
        assert_eq!(take("50%", 5).unwrap(), nodes(2));
        assert_eq!(take("100%", 5).unwrap(), nodes(5));
        assert_eq!(take("10%", 0).unwrap(), nodes(0));
        let error = take("10%", 9).unwrap_err();
        assert_eq!(error.to_string(), "limit 10% leaves none of 9 nodes");
    }

    #[test]
    fn a_seed_decides_whatever_the_order_of_arrival() {
        let choose = |seed, nodes| {
            let method = LimitMethod::Random { seed };
            Limit::Count(5).apply(nodes, method).unwrap()
        };
        let mut backwards = nodes(40);
        backwards.reverse();
        assert_eq!(choose(7, nodes(40)), choose(7, backwards));
        assert_ne!(choose(7, nodes(40)), choose(8, nodes(40)));
        let mut chosen = choose(7, nodes(40));
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 5);
    }
}
