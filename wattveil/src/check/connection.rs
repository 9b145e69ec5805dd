//! Whether a party reaches the broker, and what the aggregators' statuses show there.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use protocol::id::MeterId;
use protocol::revocation::Revocation;
use protocol::status::Status;
use protocol::topic::{Channel, Topic};
use protocol::unit::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::findings::{Findings, Grade, Party};
use super::{clock, validity};
use crate::status::subscribe;

/// How long the aggregators have to publish what time it is.
const LISTEN: Duration = Duration::from_secs(2);

pub(super) async fn connect(party: &Party, home: &Path, findings: &mut Findings) {
    let Party { endpoint, roster, registrar, .. } = party;
    let user = endpoint.user.clone().unwrap_or_else(|| "check".to_owned());
    let settings = findings.expect(endpoint.settings(home, &user).map_err(Into::into));
    let Some(settings) = settings.filter(|_| !findings.unreachable) else { return };
    let deployment = &roster.document().deployment;
    // a meter may hear whether it is revoked itself
    let own = user.parse::<MeterId>().ok().map(|_| format!("wv/1/{deployment}/revoked/{user}"));
    let filters = own.into_iter().chain([format!("wv/1/{deployment}/status/agg/+")]).collect();
    let mut subscriber = match subscribe(settings, filters).await {
        Ok(subscriber) => subscriber,
        Err(error) => {
            // the others would only say so again
            findings.unreachable = !format!("{error:#}").contains("refused the");
            return findings.add(Grade::Wrong, format!("{error:#}"));
        }
    };
    findings.add(Grade::Fine, format!("connected, logged in and subscribed at {}", endpoint.address));
    let (mut heard, deadline) = (BTreeMap::new(), Instant::now() + LISTEN);
    // an aggregator's own word proves nothing to it
    let others = roster.document().aggregators.iter().filter(|row| row.id.as_ref() != user).count();
    while heard.len() < others
        && let Ok(Some(delivery)) = timeout_at(deadline, subscriber.recv()).await
    {
        if let (Ok(Topic { channel: Channel::Status(_, id), .. }), Ok(status)) =
            (delivery.topic.parse(), Status::decode(&delivery.payload))
            && status.state == "up"
            && id != user
            && roster.document().aggregators.iter().any(|row| row.id.as_ref() == id)
        {
            heard.insert(id, status.at);
        }
        if let Ok(Topic { channel: Channel::Revoked(meter), .. }) = delivery.topic.parse()
            && let Ok(revocation) = Revocation::open(&delivery.payload, registrar, deployment)
            && !findings.revoked.contains_key(&meter)
        {
            validity::revocation(&revocation, findings);
        }
        subscriber.ack(delivery);
    }
    subscriber.close().await;
    let (grade, text) = clock::judge(runtime::now::<Timestamp>(), &heard.into_iter().collect::<Vec<_>>());
    findings.add(grade, text);
}
