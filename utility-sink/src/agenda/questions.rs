//! The configured questions of mode `levelled`: keys are planned once, and each question is asked once its key is made and its windows
//! are over.

use protocol::unit::Timestamp;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use protocol::id::{Hash, QueryId};
use protocol::levelled::function::{Function, Subject};
use protocol::rule::{Refusal, Rule};
use protocol::unit::Slot;
use rand::CryptoRng;
use rand::rngs::StdRng;
use runtime::now;
use store::{Store, Table};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::progress::{Progress, State};
use crate::config::{KeyConfig, LevelledConfig, QuestionConfig};
use crate::service::Request;
use crate::sink::Sink;
use crate::sink::levelled::finding::finding_of;
use crate::sink::levelled::{Finding, Question};

/// Names that were planned or asked: `key/` name → the key's hash, `question/` name → the request.
const NAMED: Table = Table("levelled-named");

/// How often it is looked whether a key is made.
const LOOK: Duration = Duration::from_millis(250);

/// Checks the section, and plans every configured key that was not planned before. Questions that their key does not allow are
/// taken out and given back: they are never asked.
pub(super) fn plan_once<R: CryptoRng>(
    config: &mut LevelledConfig,
    sink: &mut Sink,
    store: &mut dyn Store,
    rng: &mut R,
) -> anyhow::Result<Vec<Progress>> {
    for key in &config.keys {
        let row = format!("key/{}", key.name);
        if store.get(NAMED, row.as_bytes())?.is_none() {
            let (hash, _) = sink.plan_key(key.plan(rng)?, now(), store)?;
            store.put(NAMED, row.as_bytes(), hash.as_bytes())?;
            info!(key = %hash, name = key.name, "planned a collective key");
        }
    }
    let mut refused = Vec::new();
    for question in &config.questions {
        question.subjects()?;
        let key = config.key_of(question)?;
        let row = store.get(NAMED, format!("key/{}", key.name).as_bytes())?;
        if let Some(hash) = hash_in(row)
            && let Some(detail) = not_allowed(question, key, &hash, sink)?
        {
            let refusal = Refusal::new(Rule::Function, detail);
            warn!(question = question.name, rule = refusal.rule.name(), "not asked: {}", refusal.detail);
            refused.push(Progress { name: question.name.clone(), state: State::NotAsked(refusal) });
        }
    }
    config.questions.retain(|question| refused.iter().all(|progress| progress.name != question.name));
    Ok(refused)
}

/// Why a key does not allow a question, if it does not.
fn not_allowed(
    question: &QuestionConfig,
    key: &KeyConfig,
    hash: &Hash,
    sink: &Sink,
) -> anyhow::Result<Option<String>> {
    let function = question.function()?;
    let (name, wanted, found) = (function.name(), function.subjects(), question.subjects.len());
    if wanted != found {
        return Ok(Some(format!("{name} needs {wanted} subjects; found {found}")));
    }
    let slots = usize::from(key.window_slots);
    if let Some(found) = function.weights().filter(|found| *found != slots) {
        return Ok(Some(format!("expected {slots} weights, one for each slot of a window; found {found}")));
    }
    if sink.key_allows(hash, &function) != Some(false) {
        return Ok(None);
    }
    let weightless = matches!(function, Function::Weighted(_) | Function::Forecast(_))
        && question.weights.iter().all(|weight| *weight == 0);
    if weightless {
        return Ok(Some("all weights are 0; at least one must be another number".to_owned()));
    }
    let profiles = match function {
        Function::Sum | Function::Mean => "light, medium, strong or largest",
        Function::Max | Function::Min => "largest",
        _ => "medium, strong or largest",
    };
    Ok(Some(format!(
        "{name} needs a key of profile {profiles}, but key `{}` has profile {}; write another [[levelled.key]] with a new name",
        key.name, key.profile
    )))
}

fn hash_in(row: Option<Vec<u8>>) -> Option<Hash> {
    row.and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok()).map(Hash::from)
}

/// The progress of the questions, in their order.
pub(super) fn progress(
    config: &LevelledConfig,
    sink: &Sink,
    store: &dyn Store,
) -> anyhow::Result<Vec<Progress>> {
    let mut all = Vec::new();
    for question in &config.questions {
        let state = match asked_as(question, store)? {
            Some(id) if finding_of(id, store)?.is_some() => State::Ended,
            Some(id) => match sink.levelled_refused(id) {
                Some(rule) => State::Blocked(rule),
                None => State::Waiting(
                    sink.levelled_stage(id).unwrap_or_else(|| "a key of the roster in force".to_owned()),
                ),
            },
            None => {
                let key = hash_in(store.get(NAMED, format!("key/{}", question.key).as_bytes())?);
                State::Waiting(match key.and_then(|key| sink.key_stage(&key)) {
                    Some(stage) => format!("its collective key: {stage}"),
                    None => "the end of its windows".to_owned(),
                })
            }
        };
        all.push(Progress { name: question.name.clone(), state });
    }
    Ok(all)
}

/// Asks each question as soon as its key is made; ends when all are asked.
pub(super) async fn ask_all(config: Arc<LevelledConfig>, requests: mpsc::Sender<Request>) {
    let (done, asked) = tokio::sync::watch::channel(false);
    while !*asked.borrow() {
        let (config, done) = (Arc::clone(&config), done.clone());
        let request: Request = Box::new(move |sink, store, rng| {
            let (mut sends, mut open) = (Vec::new(), 0);
            for question in &config.questions {
                if asked_as(question, store)?.is_some() {
                    continue;
                }
                match ask_once(question, &config, sink, store, rng)? {
                    Some(messages) => sends.extend(messages),
                    None => open += 1,
                }
            }
            done.send_replace(open == 0);
            Ok(sends)
        });
        if requests.send(request).await.is_err() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks, if the key is made and all windows are over.
fn ask_once(
    question: &QuestionConfig,
    config: &LevelledConfig,
    sink: &mut Sink,
    store: &mut dyn Store,
    rng: &mut StdRng,
) -> anyhow::Result<Option<Vec<protocol::topic::Outgoing>>> {
    let key = store.get(NAMED, format!("key/{}", question.key).as_bytes())?;
    let key = hash_in(key).context("a planned key is not in the store")?;
    if !sink.has_key(&key) {
        return Ok(None);
    }
    let (function, subjects) = (question.function()?, question.subjects()?);
    let window = config.key_of(question)?.window_slots;
    // Who asks before a window is over fixes a set of whoever was quick.
    let over = |subject: &Subject| {
        let end = subject.window.checked_add(1).and_then(|next| next.checked_mul(u32::from(window)));
        end.is_some_and(|end| sink.roster().slot().start_of(Slot(end)) <= now::<Timestamp>())
    };
    if !subjects.iter().all(over) {
        return Ok(None);
    }
    let asked = Question { key, function, subjects, members: question.members };
    let (id, sends) = sink.ask_levelled(asked, now(), store, rng)?;
    store.put(NAMED, format!("question/{}", question.name).as_bytes(), id.as_bytes())?;
    info!(question = question.name, request = %id, "asked");
    Ok(Some(sends))
}

fn asked_as(question: &QuestionConfig, store: &dyn Store) -> anyhow::Result<Option<QueryId>> {
    let bytes = store.get(NAMED, format!("question/{}", question.name).as_bytes())?;
    Ok(bytes.and_then(|bytes| <[u8; 16]>::try_from(&bytes[..]).ok()).map(QueryId::from))
}

/// What the questions gave so far, in their order.
pub(super) fn found(config: &LevelledConfig, store: &dyn Store) -> anyhow::Result<Vec<(String, Finding)>> {
    let mut all = Vec::new();
    for question in &config.questions {
        if let Some(id) = asked_as(question, store)?
            && let Some(finding) = finding_of(id, store)?
        {
            all.push((question.name.clone(), finding));
        }
    }
    Ok(all)
}
