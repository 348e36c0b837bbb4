//! One pass over one source: its questions, canaries, limits.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::facts::{AccessState, Why};

use super::Ask;
use super::cache::Outcome;
use super::canary::{Batch, EVERY};
use super::combine::{Say, Voice};
use super::limit::{OPERATOR_REST, REST};
use super::registry::{Fault, RETRY_AFTER_MOST, Reply, Word};
use super::source::Source;
use super::spelling::forms;

/// Questions that are under way at one source at a time.
const WIDTH: usize = 8;
/// How often in one pass a good canary may save a source whose answers fail.
const RESCUES_MOST: u32 = 3;
/// Worthless negatives in a row, after a canary that failed, after which the
/// source is left alone: it blocks us, and more questions prolong that.
const DENIALS_MOST: u32 = 10;

enum State {
    /// Not asked.
    New,
    /// Waiting or under way.
    Asked,
    /// Answered in the negative; waits for a canary.
    Pending(Timestamp),
    /// Final.
    Done(Outcome),
}

struct Name<'a> {
    name: &'a str,
    state: State,
    /// Questions that wait for it.
    asks: Vec<usize>,
}

enum Event {
    Name { name: usize, ticket: Option<u64>, took: Duration, said: Result<Reply, Fault> },
    Canary { mark: usize, took: Duration, said: Result<Reply, Fault> },
}

struct Pass<'a> {
    source: &'a Source,
    questions: &'a [Ask],
    done: &'a (dyn Fn(usize) + Sync),
    names: Vec<Name<'a>>,
    index: HashMap<&'a str, usize>,
    /// All names of all questions.
    asked: HashSet<&'a str>,
    voices: Vec<Option<Voice>>,
    queue: VecDeque<usize>,
    batch: Batch<usize>,
    flights: FuturesUnordered<BoxFuture<'a, Event>>,
    names_in_flight: usize,
    canary_in_flight: bool,
    /// Names wait until the canary that is under way has answered.
    gate: bool,
    canary_good: bool,
    canary_at: Option<Instant>,
    /// The source has answered in this pass: until then it is asked one
    /// question at a time, so that a refused key or a dead host costs one.
    alive: bool,
    rescues: u32,
    denials: u32,
    /// Why the source was last found wanting, for what is not asked any more.
    last: Why,
}

/// Asks one source every question. `done` is called with the number of each
/// question that has its answer.
pub(super) async fn run(source: &Source, questions: &[Ask], done: &(dyn Fn(usize) + Sync)) -> Vec<Voice> {
    if source.adapter.refresh() {
        source.breaker().reset();
    }
    source.breaker().new_pass(Instant::now());
    source.line.pace.new_pass();
    let canary_at = source.canary_good().filter(|t| t.elapsed() < EVERY);
    let mut pass = Pass {
        source,
        questions,
        done,
        names: Vec::new(),
        index: HashMap::new(),
        asked: questions.iter().flat_map(|q| &q.names).map(String::as_str).collect(),
        voices: questions.iter().map(|_| None).collect(),
        queue: VecDeque::new(),
        batch: Batch::new(canary_at.is_some()),
        flights: FuturesUnordered::new(),
        names_in_flight: 0,
        canary_in_flight: false,
        gate: false,
        canary_good: canary_at.is_some(),
        canary_at,
        alive: false,
        rescues: 0,
        denials: 0,
        last: Why::Unavailable,
    };
    for ask in 0..questions.len() {
        pass.poke(ask);
    }
    pass.fly().await;
    let now = Timestamp::now();
    pass.voices
        .into_iter()
        .map(|v| v.unwrap_or_else(|| source.voice_of_fault(Why::Unavailable, now)))
        .collect()
}

impl<'a> Pass<'a> {
    async fn fly(&mut self) {
        // A good canary of the last batch, minutes ago, spares this one.
        if !self.queue.is_empty() && self.needs_canary() && self.canary_at.is_none() {
            self.send_canary(true);
        }
        loop {
            if self.source.breaker().open().is_some() {
                self.drop_queue();
            }
            let width = if self.alive || !self.source.adapter.remote() { WIDTH } else { 1 };
            while !self.gate && self.names_in_flight < width {
                let Some(name) = self.queue.pop_front() else { break };
                self.send(name);
            }
            let open = self.source.breaker().open().is_some();
            let due = self.canary_at.is_some_and(|t| t.elapsed() >= EVERY) && !self.queue.is_empty();
            let last = self.flights.is_empty() && self.batch.waits();
            if !open && !self.canary_in_flight && self.needs_canary() && (due || last) {
                self.send_canary(false);
            }
            let Some(event) = self.flights.next().await else { break };
            match event {
                Event::Name { name, ticket, took, said } => self.on_name(name, ticket, took, said),
                Event::Canary { mark, took, said } => self.on_canary(mark, took, said),
            }
        }
        // Left only where the source was given up before the last canary.
        self.decide(0, false);
    }

    fn needs_canary(&self) -> bool {
        self.source.needs_canary() && !self.source.canaries.is_empty()
    }

    fn send(&mut self, name: usize) {
        let Some(text) = self.names.get(name).map(|n| n.name) else { return };
        let (source, ticket) = (self.source, self.batch.ticket());
        self.names_in_flight += 1;
        self.flights.push(Box::pin(async move {
            let start = Instant::now();
            let said = ask(source, text).await;
            Event::Name { name, ticket, took: start.elapsed(), said }
        }));
    }

    fn send_canary(&mut self, gate: bool) {
        let source = self.source;
        let Some(text) = source.canaries.turn(&self.asked) else { return };
        self.canary_in_flight = true;
        self.gate |= gate;
        let mark = self.batch.mark();
        self.flights.push(Box::pin(async move {
            let start = Instant::now();
            let said = ask(source, text).await;
            Event::Canary { mark, took: start.elapsed(), said }
        }));
    }

    fn on_canary(&mut self, mark: usize, took: Duration, said: Result<Reply, Fault>) {
        self.canary_in_flight = false;
        self.gate = false;
        self.source.observe(&said, took);
        self.canary_at = Some(Instant::now());
        self.canary_good = said.as_ref().is_ok_and(|r| matches!(r.word, Word::Filed | Word::Restricted));
        *self.source.canary_good() = self.canary_good.then(Instant::now);
        tracing::debug!(registry = self.source.name, good = self.canary_good, "canary");
        match said {
            Ok(_) if self.canary_good => {
                self.alive = true;
                self.source.breaker().success();
            }
            Ok(_) => {}
            Err(fault) => self.on_fault(&fault, took),
        }
        self.decide(mark, self.canary_good);
    }

    /// A canary's word on the negatives that wait for it.
    fn decide(&mut self, mark: usize, good: bool) {
        let decided = self.batch.canary(mark, good);
        for name in decided.confirmed {
            self.settle(name, Ok(Reply::bare(Word::Negative)));
        }
        for name in decided.failed {
            self.settle(name, Err(Why::CanaryFailed));
        }
    }

    fn on_name(&mut self, name: usize, ticket: Option<u64>, took: Duration, said: Result<Reply, Fault>) {
        self.names_in_flight -= 1;
        self.source.observe(&said, took);
        match said {
            Ok(reply) => {
                self.alive = true;
                self.source.breaker().success();
                if reply.word == Word::Negative && self.source.needs_canary() {
                    self.on_negative(name, ticket);
                } else {
                    self.denials = 0;
                    self.settle(name, Ok(reply));
                }
            }
            Err(fault) => {
                self.on_fault(&fault, took);
                self.settle(name, Err(fault.why));
            }
        }
    }

    fn on_negative(&mut self, name: usize, ticket: Option<u64>) {
        let text = self.names.get(name).map_or("", |n| n.name);
        if self.source.canaries.is_sole(text, &self.asked) {
            // The source denies its own canary.
            self.decide(0, false);
            return self.settle(name, Err(Why::CanaryFailed));
        }
        match self.batch.negative(ticket, name) {
            Ok(()) => {
                let asks = match self.names.get_mut(name) {
                    Some(n) => {
                        n.state = State::Pending(Timestamp::now());
                        n.asks.clone()
                    }
                    None => return,
                };
                for ask in asks {
                    self.poke(ask);
                }
            }
            Err(name) => {
                self.denials += 1;
                if self.denials >= DENIALS_MOST && self.needs_canary() && !self.canary_good {
                    self.source.breaker().trip(Why::CanaryFailed, None, REST, Instant::now());
                }
                self.settle(name, Err(Why::CanaryFailed));
            }
        }
    }

    fn on_fault(&mut self, fault: &Fault, took: Duration) {
        self.last = fault.why;
        if let Some(message) = fault.operator {
            self.source.breaker().trip(fault.why, Some(message), OPERATOR_REST, Instant::now());
            return;
        }
        if let Some(wait) = fault.silence.filter(|w| *w > RETRY_AFTER_MOST) {
            self.source.breaker().trip(fault.why, None, wait, Instant::now());
            return;
        }
        let enough = match fault.is_hard() {
            true => self.source.breaker().failure(took),
            false => self.source.breaker().unusable(),
        };
        if enough {
            // Perhaps single names fail, not the source: its canary tells.
            let worth = self.needs_canary() && self.canary_good && self.rescues < RESCUES_MOST;
            if worth && !self.canary_in_flight {
                self.rescues += 1;
                self.send_canary(true);
            } else if !self.canary_in_flight {
                self.source.breaker().trip(fault.why, None, REST, Instant::now());
            }
        }
    }

    /// The source is given up: what was not asked has no answer.
    fn drop_queue(&mut self) {
        let why = self.source.breaker().open().map_or(self.last, |o| o.why);
        while let Some(name) = self.queue.pop_front() {
            self.finish(name, Outcome { said: Err(why), at: Timestamp::now() });
        }
    }

    /// A name's final answer, from the source itself.
    fn settle(&mut self, name: usize, said: Result<Reply, Why>) {
        let Some(n) = self.names.get(name) else { return };
        let at = match n.state {
            State::Pending(at) => at,
            _ => Timestamp::now(),
        };
        tracing::debug!(registry = self.source.name, name = n.name, said = ?said.as_ref().map(|r| r.word), "answer");
        let outcome = Outcome { said, at };
        if self.source.adapter.remote() {
            self.source.cache().put(n.name, &outcome, Instant::now());
        }
        self.finish(name, outcome);
    }

    fn finish(&mut self, name: usize, outcome: Outcome) {
        let Some(n) = self.names.get_mut(name) else { return };
        n.state = State::Done(outcome);
        for ask in std::mem::take(&mut n.asks) {
            self.poke(ask);
        }
    }

    /// Moves a question on as far as answers allow.
    fn poke(&mut self, ask: usize) {
        let Some(question) = self.questions.get(ask) else { return };
        if self.voices.get(ask).is_none_or(Option::is_some) {
            return;
        }
        let mut waits = false;
        for text in &question.names {
            let i = self.of(text);
            let open = self.source.breaker().open().map(|o| o.why);
            let Some(n) = self.names.get_mut(i) else { return };
            if let State::New = n.state {
                let kept = self.source.cache().get(n.name, Instant::now());
                n.state = match (kept, open) {
                    (Some(outcome), _) => State::Done(outcome),
                    (None, Some(why)) => State::Done(Outcome { said: Err(why), at: Timestamp::now() }),
                    (None, None) => {
                        self.queue.push_back(i);
                        State::Asked
                    }
                };
            }
            match &n.state {
                State::Done(o) if o.said.as_ref().is_ok_and(|r| r.word.ends()) => {
                    waits = false;
                    break;
                }
                State::Done(_) => continue,
                _ => {}
            }
            if !n.asks.contains(&ask) {
                n.asks.push(ask);
            }
            waits = true;
            // A negative that waits for its canary lets the next name be
            // asked meanwhile.
            if let State::Asked = n.state {
                break;
            }
        }
        if !waits {
            let voice = self.voice(question);
            if let Some(slot) = self.voices.get_mut(ask) {
                *slot = Some(voice);
            }
            (self.done)(ask);
        }
    }

    fn of(&mut self, text: &'a str) -> usize {
        *self.index.entry(text).or_insert_with(|| {
            self.names.push(Name { name: text, state: State::New, asks: Vec::new() });
            self.names.len() - 1
        })
    }

    /// The first name that is filed counts; not filed only when every name
    /// was denied (contract-details Q11).
    fn voice(&self, question: &Ask) -> Voice {
        let mut fault: Option<(Why, Timestamp)> = None;
        let mut negative: Option<(Word, Timestamp)> = None;
        for text in &question.names {
            let Some(State::Done(o)) =
                self.index.get(text.as_str()).and_then(|i| self.names.get(*i)).map(|n| &n.state)
            else {
                continue;
            };
            match &o.said {
                Ok(r) if r.word.ends() => {
                    let filed_for = (question.names.len() > 1).then(|| text.clone());
                    return self.source.voice_of_reply(r, filed_for, o.at);
                }
                Ok(r) => {
                    let at = negative.map_or(o.at, |(_, at)| at.min(o.at));
                    negative = Some((r.word, at));
                }
                Err(why) => fault = fault.or(Some((*why, o.at))),
            }
        }
        match (fault, negative) {
            (Some((why, at)), _) => self.source.voice_of_fault(why, at),
            (None, Some((word, at))) => self.source.voice_of_reply(&Reply::bare(word), None, at),
            (None, None) => self.source.voice_of_fault(Why::NoRegistry, Timestamp::now()),
        }
    }
}

/// One name in both spellings: a positive ends it.
async fn ask(source: &Source, name: &str) -> Result<Reply, Fault> {
    if !source.adapter.remote() {
        return source.adapter.ask(name, name, &source.line).await;
    }
    let mut negative = None;
    let mut fault = None;
    for form in forms(name) {
        match ask_twice(source, name, &form).await {
            Ok(reply) if reply.word.ends() => return Ok(reply),
            Ok(reply) => negative = negative.or(Some(reply)),
            Err(f) if f.is_hard() => return Err(f),
            // Some services do not understand U-labels.
            Err(f) => fault = fault.or(Some(f)),
        }
    }
    match (fault, negative) {
        (None, Some(reply)) => Ok(reply),
        (Some(fault), _) => Err(fault),
        (None, None) => Err(Fault::new(Why::Malformed)),
    }
}

/// One spelling, with the second try that contract-details Q8 allows.
async fn ask_twice(source: &Source, name: &str, form: &str) -> Result<Reply, Fault> {
    let fault = match source.adapter.ask(name, form, &source.line).await {
        Ok(reply) => return Ok(reply),
        Err(fault) => fault,
    };
    let Some(wait) = fault.retry else { return Err(fault) };
    match fault.silence {
        Some(silence) => {
            if !source.line.pace.hold(silence, Instant::now()) {
                return Err(fault);
            }
        }
        None => tokio::time::sleep(wait).await,
    }
    let second = source.adapter.ask(name, form, &source.line).await;
    if let Err(Fault { silence: Some(silence), .. }) = second
        && silence <= RETRY_AFTER_MOST
    {
        // Others of this source keep still as well.
        source.line.pace.hold(silence, Instant::now());
    }
    second
}

impl Source {
    fn observe(&self, said: &Result<Reply, Fault>, took: Duration) {
        if let Some(observer) = &self.observer {
            observer(&self.name, said.as_ref().map_or_else(|f| f.why.as_str(), |_| "ok"), took);
        }
    }

    /// What a reply of this source is worth.
    fn voice_of_reply(&self, reply: &Reply, filed_for: Option<String>, at: Timestamp) -> Voice {
        let say = match (reply.word, self.needs_canary()) {
            (Word::Filed, _) => Say::Filed,
            (Word::Restricted, _) => Say::Restricted,
            (Word::Negative, false) => Say::NotFiled,
            (Word::Negative, true) => Say::Suspected,
            (Word::Absent, _) if self.complete => Say::NotConnected,
            (Word::Absent, _) => Say::Silent(None),
            (Word::Row, _) if reply.access == Some(AccessState::Elsewhere) => Say::NotConnected,
            (Word::Row, _) => Say::Silent(None),
        };
        let access = match reply.word {
            Word::Absent if self.complete => Some(AccessState::Elsewhere),
            Word::Absent => Some(AccessState::Unknown),
            _ => reply.access,
        };
        Voice { say, authority: self.trusted, access, facts: reply.facts.clone(), filed_for, at }
    }

    /// A source that gave no usable answer.
    fn voice_of_fault(&self, why: Why, at: Timestamp) -> Voice {
        Voice {
            say: Say::Silent(Some(why)),
            authority: self.trusted,
            access: (!self.adapter.remote()).then_some(AccessState::Unknown),
            facts: super::registry::Facts::default(),
            filed_for: None,
            at,
        }
    }
}
