//! `--collect`: people who approve an order before its nodes are asked.

use clap::Args;
use countersign_client::{Client, ClientError};
use countersign_protocol::task::Collect;
use countersign_protocol::{Task, UnixMillis, Vote};

use super::output::Output;
use super::time;

/// The time for votes, unless it is chosen.
const USUAL_MS: u64 = 24 * 3600 * 1000;

/// Whose approval is awaited, and how long.
#[derive(Debug, Clone, Args)]
pub struct Collecting {
    /// Have this many people approve the order before any node is asked. They vote with
    /// `countersign task vote`; the coordinator collects the votes, and each node counts them
    /// itself, by its own rules.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=Vote::MAX_OF_TASK as i64))]
    collect: Option<u16>,
    /// With --collect: how long they have, such as 24h or 7d, or a time; at most 7 days. Default:
    /// 24h. Afterwards the nodes still have the order's usual time.
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
                "an order lives for 7 days at most; write --until 7d, or a time before {}",
                time::utc(latest)
            )));
        }
        Ok(Some(Collect { votes, until }))
    }
}

/// The approvals that an order asks for, in words.
pub fn words(collect: &Collect) -> String {
    let Collect { votes, until } = collect;
    let people = if *votes == 1 { "person" } else { "people" };
    format!(
        "needs the approval of {votes} {people} until {}; before that no node is asked",
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
            &["--collect", "257"],
            &["--until", "24h"],
            &["--collect", "2", "--until", "2020-01-01"],
            &["--collect", "2", "--until", "soon"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        let late = parsed(&["--collect", "2", "--until", "8d"]).unwrap();
        let error = late.collect().unwrap_err().to_string();
        assert!(error.contains("--until 7d"), "{error}");
    }

    #[test]
    fn what_an_order_asks_of_people_is_told_in_words() {
        let told = |votes| {
            words(&Collect {
                votes,
                until: UnixMillis(1_782_907_200_000),
            })
        };
        assert!(told(1).contains("approval of 1 person until 2026-07-01T12:00:00Z"));
        assert!(told(3).contains("approval of 3 people"));
    }
}
