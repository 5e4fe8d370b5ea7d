//! Fair shares of a limited resource, such as open tasks or concurrent requests: a pure function.

/// True if there is room for one more among `limit`, of which `open` are taken, for a user who
/// has `own` of them.
///
/// Each may have as many as there are places left. So a single user gets half of all, two get a
/// third each, and there is always a place for a newcomer, however long those of the others stay
/// (Choudhury and Hahne's dynamic thresholds for shared buffers, 1998, with a factor of 1).
pub(crate) fn has_room(limit: usize, open: usize, own: usize) -> bool {
    has_room_for(1, limit, open, own)
}

/// The same for several at once.
pub(crate) fn has_room_for(wanted: usize, limit: usize, open: usize, own: usize) -> bool {
    own.saturating_add(wanted) <= limit.saturating_sub(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The greedy users take whatever they are given, in turn.
    fn taken(limit: usize, greedy: usize) -> Vec<usize> {
        let mut own = vec![0; greedy];
        for at in 0..greedy {
            while has_room(limit, own.iter().sum(), own[at]) {
                own[at] += 1;
            }
        }
        own
    }

    #[test]
    fn who_comes_late_finds_room() {
        assert_eq!(taken(1000, 1), [500]);
        assert_eq!(taken(1000, 4), [500, 250, 125, 63]);
        assert_eq!(taken(1, 2), [1, 0], "a single place is nobody's share");
        assert!(taken(1000, 9).iter().all(|own| *own > 0));
    }
}
