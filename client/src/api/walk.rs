//! The way through the pages of a list, which has an end whatever the coordinator answers.

use std::collections::HashSet;

use crate::error::ClientError;

/// The cursors of the pages so far.
#[derive(Debug)]
pub(crate) struct Walk {
    list: &'static str,
    most: usize,
    seen: HashSet<String>,
}

impl Walk {
    /// Begins a way of at most so many pages.
    pub(crate) fn new(list: &'static str, most: usize) -> Self {
        Self {
            list,
            most,
            seen: HashSet::new(),
        }
    }

    /// Goes on to the page at this cursor. An error if it was there before, or if the way is too
    /// long.
    pub(crate) fn step(&mut self, cursor: &str) -> Result<(), ClientError> {
        let list = self.list;
        if !self.seen.insert(cursor.to_owned()) {
            return Err(ClientError::Answer(format!(
                "its {list} leads back to an earlier page"
            )));
        }
        if self.seen.len() >= self.most {
            return Err(ClientError::Answer(format!(
                "its {list} has more than {} pages",
                self.most
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_forward_and_ends() {
        let mut walk = Walk::new("list", 3);
        walk.step("a").unwrap();
        for _ in 0..2 {
            let error = walk.step("a").unwrap_err().to_string();
            assert!(error.contains("earlier page"), "{error}");
        }
        walk.step("b").unwrap();
        let error = walk.step("c").unwrap_err().to_string();
        assert!(error.contains("more than 3 pages"), "{error}");
    }
}
