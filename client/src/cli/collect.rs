//! `--collect`: people who approve an order before its nodes are asked.

use clap::Args;
use countersign_client::{Client, ClientError};
use countersign_protocol::task::Collect;
use countersign_protocol::{Task, UnixMillis, Vote};

use super::output::Output;
use super::time;

/// The time for votes, unless it is chosen.
const USUAL_MS: u64 = 24 * 3600 * 1000;
/// The largest number of approvals: a task has room for as many votes against it.
const MOST: i64 = Vote::MAX_OF_TASK as i64 / 2;

/// The approvals that an order asks for, and the time for them.
#[derive(Debug, Clone, Args)]
pub struct Collecting {
    /// Ask for approvals by this many people, at most 128. They vote with `countersign task vote`.
    /// The coordinator is to wait for them before it asks the nodes; each node decides by its own
    /// rules.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST))]
    collect: Option<u16>,
    /// With --collect: how long they have, such as 24h or 6d, or a time. Default: 24h. Afterwards
    /// the nodes still have the order's usual time: 2 minutes or more for a signature, an hour for
    /// a wallet, or --timeout. Both together are at most 7 days.
    #[arg(long, value_name = "TIME", requires = "collect", value_parser = time::to_come)]
    until: Option<UnixMillis>,
}

impl Collecting {
    /// The approvals of the order, if people are to approve it.
    pub fn collect(&self) -> Result<Option<Collect>, ClientError> {
        self.at(time::now())
    }

    fn at(&self, now: UnixMillis) -> Result<Option<Collect>, ClientError> {
        let Some(votes) = self.collect else {
            return Ok(None);
        };
        let after = |ms: u64| UnixMillis(now.0.saturating_add(ms));
        let until = self.until.unwrap_or_else(|| after(USUAL_MS));
        let latest = after(Task::MAX_COLLECTING_LIFE_MS);
        if until > latest {
            return Err(ClientError::Usage(format!(
                "an order lives for 7 days at most, its usual time after the votes included; write --until 6d, or a time well before {}",
                time::utc(latest)
            )));
        }
        Ok(Some(Collect { votes, until }))
    }
}

/// The approvals that an order asks for, in words.
pub fn words(collect: &Collect) -> String {
    let Collect { votes, until } = collect;
    let approvals = if *votes == 1 { "approval" } else { "approvals" };
    format!(
        "asks for {votes} {approvals} until {}; the coordinator is to wait for them, and each node decides by its own rules",
        time::utc(*until)
    )
}

/// Tells what an order of this client asks of people, before it is sent.
pub fn note(client: &Client, output: &Output) {
    if let Some(collect) = client.collect() {
        output.note(format!("  {}", words(collect)));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_764_500_000_000);
    const DAY: u64 = 24 * 3_600_000;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        collecting: Collecting,
    }

    fn parsed(words: &[&str]) -> Result<Collecting, clap::Error> {
        let line = Line::try_parse_from([&["sign"], words].concat());
        line.map(|line| line.collecting)
    }

    #[test]
    fn people_have_a_day_unless_another_time_is_given() {
        assert_eq!(parsed(&[]).unwrap().at(NOW).unwrap(), None);
        let usual = parsed(&["--collect", "2"]).unwrap().at(NOW).unwrap();
        let until = UnixMillis(NOW.0 + DAY);
        assert_eq!(usual, Some(Collect { votes: 2, until }));
        let chosen = parsed(&["--collect", "1", "--until", "2d"]).unwrap();
        let chosen = chosen.collect().unwrap().unwrap();
        let left = chosen.until.0 - time::now().0;
        assert!(left > DAY && left <= 2 * DAY, "{left}");
    }

    #[test]
    fn a_number_or_a_time_that_cannot_be_is_refused() {
        for words in [
            &["--collect", "0"][..],
            &["--collect", "129"],
            &["--until", "24h"],
            &["--collect", "2", "--until", "2020-01-01"],
            &["--collect", "2", "--until", "soon"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        let late = parsed(&["--collect", "2", "--until", "8d"]).unwrap();
        let error = late.collect().unwrap_err().to_string();
        assert!(error.contains("--until 6d"), "{error}");
        assert!(parsed(&["--collect", "128"]).is_ok());
    }

    #[test]
    fn what_an_order_asks_of_people_is_told_in_words() {
        let told = |votes| {
            words(&Collect {
                votes,
                until: UnixMillis(1_782_907_200_000),
            })
        };
        assert!(told(1).contains("asks for 1 approval until 2026-07-01T12:00:00Z;"));
        assert!(told(3).contains("asks for 3 approvals until"));
    }
}
