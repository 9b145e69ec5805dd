//! The configured questions of analytics: keys are planned once, and each question is asked once its key is made and its windows
//! are over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use host::now;
use protocol::analysis::function::Subject;
use protocol::id::{Hash, QueryId};
use protocol::unit::Slot;
use rand::CryptoRng;
use rand::rngs::StdRng;
use store::{Store, Table};
use tokio::sync::mpsc;
use tracing::info;

use super::Request;
use crate::config::{AnalysisConfig, QuestionConfig};
use crate::sink::Sink;
use crate::sink::analysis::finding::finding_of;
use crate::sink::analysis::{Finding, Question};

/// Names that were planned or asked: `key/` name → the key's hash, `question/` name → the request.
const NAMED: Table = Table("analysis-named");

/// How often it is looked whether a key is made.
const LOOK: Duration = Duration::from_millis(250);

/// Checks the section, and plans every configured key that was not planned before.
pub(super) fn plan_once<R: CryptoRng>(
    config: &AnalysisConfig,
    sink: &mut Sink,
    store: &mut dyn Store,
    rng: &mut R,
) -> anyhow::Result<()> {
    for key in &config.keys {
        let row = format!("key/{}", key.name);
        if store.get(NAMED, row.as_bytes())?.is_none() {
            let (hash, _) = sink.plan_key(key.plan(rng)?, now(), store)?;
            store.put(NAMED, row.as_bytes(), hash.as_bytes())?;
            info!(key = %hash, name = key.name, "planned a collective key");
        }
    }
    for question in &config.questions {
        question.function()?;
        question.subjects()?;
        config.key_of(question)?;
    }
    Ok(())
}

/// Asks each question as soon as its key is made; ends when all are asked.
pub(super) async fn ask_all(config: Arc<AnalysisConfig>, requests: mpsc::Sender<Request>) {
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
    config: &AnalysisConfig,
    sink: &mut Sink,
    store: &mut dyn Store,
    rng: &mut StdRng,
) -> anyhow::Result<Option<Vec<protocol::topic::Outgoing>>> {
    let key = store.get(NAMED, format!("key/{}", question.key).as_bytes())?;
    let key = key.and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok()).map(Hash::from);
    let key = key.context("a planned key is not in the store")?;
    if !sink.has_key(&key) {
        return Ok(None);
    }
    let (function, subjects) = (question.function()?, question.subjects()?);
    let window = config.key_of(question)?.window_slots;
    // Who asks before a window is over fixes a set of whoever was quick.
    let over = |subject: &Subject| {
        let end = subject.window.checked_add(1).and_then(|next| next.checked_mul(u32::from(window)));
        end.is_some_and(|end| sink.roster().slot().start_of(Slot(end)) <= now().timestamp())
    };
    if !subjects.iter().all(over) {
        return Ok(None);
    }
    let asked = Question { key, function, subjects, members: question.members };
    let (id, sends) = sink.ask_analysis(asked, now(), store, rng)?;
    store.put(NAMED, format!("question/{}", question.name).as_bytes(), id.as_bytes())?;
    info!(question = question.name, request = %id, "asked");
    Ok(Some(sends))
}

fn asked_as(question: &QuestionConfig, store: &dyn Store) -> anyhow::Result<Option<QueryId>> {
    let bytes = store.get(NAMED, format!("question/{}", question.name).as_bytes())?;
    Ok(bytes.and_then(|bytes| <[u8; 16]>::try_from(&bytes[..]).ok()).map(QueryId::from))
}

/// What the questions gave so far, in their order.
pub(super) fn found(config: &AnalysisConfig, store: &dyn Store) -> anyhow::Result<Vec<(String, Finding)>> {
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
