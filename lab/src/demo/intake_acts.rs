//! Acts at intake: replays, forgeries, two stories, a bad share.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use protocol::id::MeterId;
use protocol::rule::Rule;
use protocol::topic::{Channel, Outgoing};
use protocol::unit::Slot;
use runtime::link::{Message, Publisher};

use super::attack;
use super::play::Play;
use super::report::Act;
use deployment::MeterKeys;

impl Play {
    pub(super) async fn attacks_at_intake(&mut self) -> anyhow::Result<()> {
        self.cast.narrator.begin("An attacker sends messages that no honest party sends", 0);
        let first = self.homes.start();
        let deployment = Arc::clone(&self.cast.deployment);
        let honest = &deployment.meters[0];
        // a replay: an honest message again, as it was
        let (topic, payload) =
            self.cast.seen.borrow().shares.first().cloned().context("no share was seen")?;
        let replayed = Outgoing::new(topic.parse()?, payload);
        self.attack("an honest message is replayed", Rule::Replay, vec![replayed]).await?;
        // a forgery: another key signs in an honest meter's name
        let stranger = protocol::signature::SigningKey::generate(&mut self.dice);
        let forged = attack::batch(&deployment, honest, &stranger, Slot(first.0 + 4), &mut self.dice)?;
        self.attack("a meter's message is forged", Rule::Forged, forged).await?;
        // a meter that the registrar does not know
        let fake = self.stranger("fake-home")?;
        let unknown = attack::batch(&deployment, &fake, &fake.key, first, &mut self.dice)?;
        self.attack("a meter is made up", Rule::UnknownMeter, unknown).await?;
        // an honest key that tells two stories
        let second = attack::batch(&deployment, honest, &honest.key.clone(), first, &mut self.dice)?;
        self.attack("a meter tells two stories of the same slots", Rule::Equivocation, second).await?;
        self.bad_dealer(first).await
    }

    /// A meter with a key but no certificate of the registrar's.
    pub(super) fn stranger(&mut self, home: &str) -> anyhow::Result<MeterKeys> {
        self.cast.deployment.issue(home, "group-1".parse()?, &mut self.dice)
    }

    /// Sends messages, and waits until an aggregator's own log names the rule that refused one of them.
    pub(super) async fn attack(
        &mut self,
        name: &str,
        rule: Rule,
        messages: Vec<Outgoing>,
    ) -> anyhow::Result<()> {
        let before = self.refusals(rule);
        for message in messages {
            self.send(message).await?;
        }
        let held = self.wait_refused(rule, before).await;
        let refused = self.refusals(rule).saturating_sub(before);
        self.note(Act::tried(name, Some(rule), held, format!("{refused} aggregators refused it")));
        Ok(())
    }

    pub(super) async fn send(&self, message: Outgoing) -> anyhow::Result<()> {
        send(&self.attacker, message).await
    }

    /// How often the aggregators' logs name a rule.
    pub(super) fn refusals(&self, rule: Rule) -> usize {
        let word = format!("rule=\"{}\"", rule.name());
        self.cast.workers.iter().map(|worker| worker.log().matches(&word).count()).sum()
    }

    pub(super) async fn wait_refused(&self, rule: Rule, before: usize) -> bool {
        for _ in 0..100 {
            if self.refusals(rule) > before {
                // the others follow at once
                tokio::time::sleep(Duration::from_millis(60)).await;
                return true;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        false
    }

    /// A certified meter deals one aggregator a share that is off the polynomial.
    pub(super) async fn bad_dealer(&mut self, first: Slot) -> anyhow::Result<()> {
        let name = "a meter deals a bad share";
        if self.cast.deployment.roster.n() - usize::from(self.spare > 0) <= self.cast.deployment.roster.t() {
            self.note(Act::left_out(name, "n = t: no spare share shows which one is bad"));
            return Ok(());
        }
        let deployment = Arc::clone(&self.cast.deployment);
        let dealer = self.stranger("bad-home")?;
        let topic = Channel::Certificate(dealer.meter).of(&deployment.roster.document().deployment);
        self.send(Outgoing::new(topic, dealer.certificate.bytes().to_vec())).await?;
        for message in attack::bad_batch(&deployment, &dealer, first, &mut self.dice)? {
            self.send(message).await?;
        }
        let meter = dealer.meter;
        let named = self
            .cast
            .ask_until("naming a bad dealer", move |sink, _| {
                // While an aggregator is away it is open whether another one lies.
                let (mut named, unclear) = (sink.checks().named_meters(), sink.checks().unclear_meters());
                named.extend(unclear);
                Ok((!named.is_empty()).then_some(named))
            })
            .await?;
        let held = named.len() == 1 && named.contains(&meter);
        self.note(Act::tried(name, Some(Rule::BadShare), held, format!("named: meter {}", short(&meter))));
        Ok(())
    }
}

fn short(meter: &MeterId) -> String {
    let text = meter.to_string();
    format!("{}…", &text[..8])
}

/// Publishes what no honest party would.
pub(super) async fn send(attacker: &Publisher, message: Outgoing) -> anyhow::Result<()> {
    let Outgoing { topic, payload, retain } = message;
    Ok(attacker.publish(Message { topic: topic.to_string(), payload, retain }).await?)
}
