//! Following what happens: by a stream of events, and by long polls where there is no stream.

use std::collections::VecDeque;
use std::time::Duration;

use countersign_protocol::TaskId;
use tokio::time::Instant;

use super::{AWAY, Client, LONG_POLL, WALLET, has_ended, is_passing, not_in_time, within};
use crate::api::{
    Api, EventData, EventKind, EventStream, FeedEvent, FeedFilter, TaskSummary, TaskView, Walk,
};
use crate::error::ClientError;

/// Events of one page.
const PAGE: usize = 200;
/// Pages that are read at most to find the end of the feed.
const MAX_PAGES: usize = 10_000;
/// Pause before a coordinator that was away is asked for another stream.
const REOPEN: Duration = Duration::from_secs(1);

/// The events of a coordinator, without end, each once and in their order.
pub struct Feed<'a> {
    api: &'a Api,
    filter: FeedFilter,
    after: Option<String>,
    waiting: VecDeque<FeedEvent>,
    source: Source,
    opened: bool,
}

enum Source {
    Closed,
    Stream(Box<EventStream>),
    Pages,
}

/// What a feed has to tell.
#[derive(Debug)]
pub enum News {
    /// An event.
    Event(Box<FeedEvent>),
    /// The stream broke before its first event, so events after its beginning may be missing here.
    Gap,
}

impl<'a> Feed<'a> {
    pub(super) fn new(api: &'a Api, filter: FeedFilter, after: Option<String>) -> Self {
        Self {
            api,
            filter,
            after,
            waiting: VecDeque::new(),
            source: Source::Closed,
            opened: false,
        }
    }

    /// Waits for what comes next. A coordinator that is away after it has answered once is asked
    /// again, without end.
    pub async fn next(&mut self) -> Result<News, ClientError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.after = Some(event.cursor.clone());
                return Ok(News::Event(Box::new(event)));
            }
            match &mut self.source {
                Source::Closed => match self.open().await {
                    Ok(()) => self.opened = true,
                    Err(error) if self.opened && is_passing(&error) => {
                        tokio::time::sleep(REOPEN).await;
                    }
                    Err(error) => return Err(error),
                },
                Source::Stream(stream) => match stream.next().await? {
                    Some(event) => self.waiting.push_back(event),
                    None => {
                        self.source = Source::Closed;
                        tokio::time::sleep(REOPEN).await;
                        if self.after.is_none() {
                            return Ok(News::Gap);
                        }
                    }
                },
                Source::Pages => self.turn_page().await?,
            }
        }
    }

    async fn open(&mut self) -> Result<(), ClientError> {
        let stream = self.api.stream(&self.filter, self.after.as_deref()).await;
        self.source = match stream {
            Ok(Some(stream)) => Source::Stream(Box::new(stream)),
            Ok(None) => Source::Pages,
            Err(error) if has_no_stream(&error) => Source::Pages,
            Err(error) => return Err(error),
        };
        if matches!(self.source, Source::Pages) && self.after.is_none() {
            self.after = Some(self.end().await?);
        }
        Ok(())
    }

    async fn turn_page(&mut self) -> Result<(), ClientError> {
        let after = self.after.as_deref();
        let page = self.api.events(&self.filter, after, PAGE, Some(LONG_POLL));
        match page.await {
            Ok(page) => {
                let moved = after != Some(page.next.as_str());
                if !moved && !page.events.is_empty() {
                    let repeated = "its feed has the same events again".into();
                    return Err(ClientError::Answer(repeated));
                }
                if page.events.is_empty() {
                    // Whoever does not wait as asked is not asked without a pause.
                    tokio::time::sleep(AWAY).await;
                }
                self.waiting.extend(page.events);
                self.after = Some(page.next);
                Ok(())
            }
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(REOPEN).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The cursor behind the newest event. Tests are not in the feed, so that pages of them are
    /// empty and only their cursors move.
    async fn end(&self) -> Result<String, ClientError> {
        let nothing = FeedFilter {
            wallets: Vec::new(),
            kinds: vec![EventKind::WebhookTest],
        };
        let mut after: Option<String> = None;
        let mut walk = Walk::new("feed", MAX_PAGES);
        loop {
            let page = self.api.events(&nothing, after.as_deref(), PAGE, None);
            let next = page.await?.next;
            if after.as_ref() == Some(&next) {
                return Ok(next);
            }
            walk.step(&next)?;
            after = Some(next);
        }
    }
}

/// True if pages can be read although there is no stream.
fn has_no_stream(error: &ClientError) -> bool {
    matches!(error, ClientError::Api { code, .. } if code == "too-many-streams")
        || matches!(error, ClientError::Api { status: 406, .. })
}

impl Client {
    /// Follows the feed behind `after`, or from now on.
    pub fn feed(&self, filter: FeedFilter, after: Option<String>) -> Feed<'_> {
        Feed::new(&self.api, filter, after)
    }

    /// Follows a task until it has ended in any way. `changed` sees it at every change of its
    /// state and of the count of its votes, by the coordinator's word. The order of the task that
    /// is returned is verified.
    pub async fn watch(
        &self,
        id: TaskId,
        mut changed: impl FnMut(&TaskSummary) -> Result<(), ClientError>,
    ) -> Result<TaskView, ClientError> {
        let until = Instant::now() + self.timeout.unwrap_or(WALLET);
        let mut view = within(until, id, self.task(id)).await?;
        let mut seen = Seen::default();
        seen.tell(&view.summary, &mut changed)?;
        loop {
            if has_ended(&view.summary)? {
                return Ok(view);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(seen.not_in_time(id));
            }
            let streamed = self.by_stream(&view, &mut seen, &mut changed);
            match tokio::time::timeout(left, streamed).await {
                Ok(Err(error)) if !is_passing(&error) => return Err(error),
                Ok(Ok(()) | Err(_)) => {}
                Err(_) => return Err(seen.not_in_time(id)),
            }
            view = match self.after_stream(id, seen.revision(), until).await {
                Err(ClientError::TimedOut(_)) => return Err(seen.not_in_time(id)),
                news => news?,
            };
            seen.tell(&view.summary, &mut changed)?;
        }
    }

    /// Tells of the task's changes until it has ended, or as long as there is a stream.
    async fn by_stream(
        &self,
        view: &TaskView,
        seen: &mut Seen,
        changed: &mut impl FnMut(&TaskSummary) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let filter = FeedFilter {
            wallets: vec![view.summary.wallet],
            kinds: Vec::new(),
        };
        let stream = match self.api.stream(&filter, None).await {
            Err(error) if has_no_stream(&error) => None,
            opened => opened?,
        };
        let Some(mut stream) = stream else {
            return Ok(());
        };
        // What happened before the stream began.
        let now = self.task(view.summary.id).await?;
        seen.tell(&now.summary, changed)?;
        while !seen.ended {
            let Some(event) = stream.next().await? else {
                return Ok(());
            };
            match event.known.map(|event| event.data) {
                Some(EventData::Task(task)) if task.id == view.summary.id => {
                    seen.tell(&task, changed)?;
                }
                Some(EventData::Task(_) | EventData::Wallet(_) | EventData::Webhook(_)) | None => {}
            }
        }
        Ok(())
    }

    /// One long poll, which answers at once if the task has ended.
    async fn after_stream(
        &self,
        id: TaskId,
        revision: u64,
        until: Instant,
    ) -> Result<TaskView, ClientError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = left.as_secs().clamp(1, LONG_POLL);
            let asked = self.api.task(id, Some((wait, revision)));
            match within(until, id, asked).await {
                Ok(view) => {
                    self.check_told(id, &view)?;
                    return Ok(view);
                }
                Err(error) if is_passing(&error) && !left.is_zero() => {
                    tokio::time::sleep(AWAY.min(left)).await;
                }
                Err(error) if is_passing(&error) => return Err(ClientError::TimedOut(id)),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The task as it was told of last.
#[derive(Default)]
struct Seen {
    last: Option<TaskSummary>,
    ended: bool,
}

impl Seen {
    fn revision(&self) -> u64 {
        self.last.as_ref().map_or(0, |task| task.revision)
    }

    /// The error of a task that is not waited for any longer.
    fn not_in_time(&self, id: TaskId) -> ClientError {
        match &self.last {
            Some(task) => not_in_time(task),
            None => ClientError::TimedOut(id),
        }
    }

    /// Tells of a task that is in another state than before, or has another count of votes. Older
    /// news are passed over.
    fn tell(
        &mut self,
        task: &TaskSummary,
        changed: &mut impl FnMut(&TaskSummary) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let same =
            |last: &TaskSummary| (&last.state, &last.collecting) == (&task.state, &task.collecting);
        if task.revision < self.revision() || self.last.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.last = Some(task.clone());
        self.ended =
            task.state.known().is_some_and(|state| state.is_final()) || task.ended.is_some();
        changed(task)
    }
}
