//! Acts of a release: a crash, a lie, and queries and cuts that an honest utility would not send.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use protocol::id::{MeterId, QueryId};
use protocol::release::inventory::{Holding, InventoryAnswer};
use protocol::release::query::Query;
use protocol::rule::Rule;
use protocol::topic::{Channel, Outgoing};
use protocol::unit::{Slot, SlotRange};

use super::cast::{Cast, PATIENCE};
use super::intake_acts::send;
use super::play::Play;
use super::report::{self, Act};
use super::{GROUP, LIAR, VICTIM, attack, liar};

impl Play {
    pub(super) async fn bills_with_one_down(&mut self) -> anyhow::Result<()> {
        let used = self.bill(false).await?.pop().map(|(_, used, _)| used).unwrap_or_default();
        if self.spare == 0 {
            let why = "n = Q: this roster survives no crash";
            self.note(Act::left_out("an aggregator is killed half-way", why));
            return Ok(());
        }
        let victim = &self.cast.deployment.aggregators[VICTIM];
        let (name, q) =
            (format!("{} is killed half-way (SIGKILL)", victim.id), self.cast.deployment.roster.q());
        let away = !used.contains(&victim.point) && used.len() >= q;
        let held = self.exact_bills(false).await? && away;
        let evidence =
            format!("{} bills exact, from aggregators {}", self.first_half(), report::points(&used));
        self.note(Act::tried(&name, None, held, evidence));
        Ok(())
    }

    /// The killed aggregator starts again and catches up from the meters' outboxes.
    pub(super) async fn everyone_back(&mut self) -> anyhow::Result<()> {
        let name = self.cast.deployment.aggregators[VICTIM.min(self.cast.workers.len() - 1)].id.to_string();
        if self.spare > 0 {
            self.cast.narrator.begin(format!("{name} starts again and catches up"), 0);
            self.cast.workers[VICTIM].restart()?;
            self.cast.wait_up().await?;
        }
        let caught_up = async |cast: &mut Cast| {
            Ok(cast.agents.iter().all(|agent| agent.progress.borrow().backlog == 0).then_some(()))
        };
        self.cast.wait_for("catching up after the restart", PATIENCE, caught_up).await?;
        if self.spare > 0 {
            let evidence = "caught up: nothing waits in the meters' outboxes";
            self.note(Act::tried(&format!("{name} starts again"), None, true, evidence.into()));
        }
        Ok(())
    }

    pub(super) async fn bills_with_a_liar(&mut self) -> anyhow::Result<()> {
        let lies = self.correctable > 0;
        let deployment = Arc::clone(&self.cast.deployment);
        let keys = &deployment.aggregators[LIAR.min(deployment.aggregators.len() - 1)];
        if lies {
            let worker = &mut self.cast.workers[LIAR];
            worker.kill().await?;
            let store = worker.store();
            let name = keys.id.to_string();
            let link = self.cast.settings(&name, &name);
            self.liar = Some(liar::start(&deployment, LIAR, &store, link, self.shapes.subscribe())?);
        }
        self.drop_a_record().await?;
        let mut faulty = Vec::new();
        for (id, _, wrong) in self.bill(true).await? {
            faulty = wrong;
            self.split_view(id).await?;
        }
        let name = format!("{} lies about every bill", keys.id);
        if !lies {
            self.note(Act::left_out(&name, "n < t + 2: this roster corrects no lie"));
            return Ok(());
        }
        let held = faulty == [keys.point] && self.exact_bills(true).await?;
        let evidence = format!("bills exact; named: aggregator {}", report::points(&faulty));
        self.note(Act::tried(&name, None, held, evidence));
        Ok(())
    }

    /// The utility itself asks, and proposes a cut that leaves one record out.
    pub(super) async fn drop_a_record(&mut self) -> anyhow::Result<()> {
        let meters = self.halves(true).into_iter().next().unwrap_or_else(|| self.halves(false).concat());
        let deployment = Arc::clone(&self.cast.deployment);
        let query = attack::query(&deployment, self.homes.period()?, &self.tariffs, &meters, &mut self.dice);
        let topic = Channel::Query.of(&deployment.roster.document().deployment);
        let (attacker, parts) = (&self.attacker, Outgoing::parts(&topic, query.bytes()));
        let answered = async |cast: &mut Cast| {
            for part in &parts {
                send(attacker, part.clone()).await?;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            let inventories = attack::inventories_of(&deployment, query.id, &cast.seen.borrow().inventories);
            Ok((inventories.len() == deployment.roster.n()).then_some(inventories))
        };
        let inventories =
            self.cast.wait_for("the aggregators' answer to a query", PATIENCE, answered).await?;
        let cut = attack::dropping_cut(&deployment, &query, &inventories, &self.published);
        self.propose("the utility's cut leaves a record out", Rule::CutNotDerived, cut.bytes()).await
    }

    /// The utility sends another cut of a query that was voted on.
    pub(super) async fn split_view(&mut self, id: QueryId) -> anyhow::Result<()> {
        let inventories =
            attack::inventories_of(&self.cast.deployment, id, &self.cast.seen.borrow().inventories);
        let query = self.query(id).await?;
        let tariffs = &self.published;
        let cut = if inventories.len() > self.cast.deployment.roster.q() {
            attack::second_cut(&self.cast.deployment, &query, &inventories, tariffs)
        } else {
            attack::dropping_cut(&self.cast.deployment, &query, &inventories, tariffs)
        };
        self.propose("the utility shows two cuts (split view)", Rule::SplitView, cut.bytes()).await
    }

    /// Sends a cut in the utility's name, and waits until a rule refuses it.
    pub(super) async fn propose(&mut self, name: &str, rule: Rule, cut: &[u8]) -> anyhow::Result<()> {
        if self.acts.iter().any(|act| act.name == name) {
            return Ok(());
        }
        let topic = Channel::Cut.of(&self.cast.deployment.roster.document().deployment);
        self.attack(name, rule, Outgoing::parts(&topic, cut)).await
    }

    pub(super) async fn query(&mut self, id: QueryId) -> anyhow::Result<Query> {
        self.cast
            .sink
            .ask(move |sink, _, _| {
                let release = sink.release(id).context("the sink forgot a query")?;
                Ok((release.query().clone(), Vec::new()))
            })
            .await
    }

    pub(super) async fn refused_queries(&mut self) -> anyhow::Result<()> {
        self.cast.narrator.begin("The utility asks for what the policy forbids", 0);
        // a tariff that spells single readings
        let period = self.homes.period()?;
        let tariff = attack::crafted_tariff(&self.cast.deployment, period.start(), period.end())?;
        let crafted =
            self.cast.sink.ask(move |sink, store, _| Ok(sink.publish_tariff(tariff, store)?)).await?;
        let meters: Vec<MeterId> = self.halves(false).concat().into_iter().take(GROUP).collect();
        let asked = meters.clone();
        let id = self
            .cast
            .sink
            .ask(move |sink, store, rng| {
                Ok(sink.ask_bills_unanchored(period, &[crafted], &asked, runtime::now(), store, rng)?)
            })
            .await?;
        let rule = self
            .cast
            .ask_until("refusing a crafted tariff", move |sink, store| Ok(sink.given_up(id, store)?))
            .await?;
        let held = rule == Rule::Cell;
        self.note(Act::tried(
            "a crafted tariff spells single readings",
            Some(rule),
            held,
            "the whole query is refused".into(),
        ));
        // the same slots again, a day shifted: the difference would be a day
        let shifted = SlotRange::new(
            Slot(period.start().0 + self.homes.slot().per_day()),
            Slot(period.end().0 + self.homes.slot().per_day()),
        )?;
        let id = self.ask_overlapping(meters, shifted).await?;
        let q = self.cast.deployment.roster.q();
        let rules = self
            .cast
            .ask_until("refusing an overlapping query", move |sink, _| {
                let Some(release) = sink.release(id) else { return Ok(None) };
                let rules: Vec<Rule> = release
                    .inventories()
                    .flat_map(|inventory| match &inventory.answer {
                        InventoryAnswer::Refused(rule) => vec![*rule],
                        InventoryAnswer::Holdings(holdings) => holdings
                            .iter()
                            .filter_map(|holding| match holding {
                                Holding::Refused(rule) => Some(*rule),
                                Holding::Records(_) | Holding::Vector(..) => None,
                            })
                            .collect(),
                    })
                    .collect();
                let answered = release.inventories().count() >= q;
                Ok(answered.then_some(rules))
            })
            .await?;
        let held = !rules.is_empty() && rules.iter().all(|rule| *rule == Rule::AlreadyReleased);
        self.note(Act::tried(
            "a second query overlaps the first",
            rules.first().copied(),
            held,
            "every target is refused: the difference would be a day".into(),
        ));
        Ok(())
    }

    /// Asks for bills as if none had been given: what a malicious utility would send.
    pub(super) async fn ask_overlapping(
        &mut self,
        meters: Vec<MeterId>,
        period: SlotRange,
    ) -> anyhow::Result<QueryId> {
        let flat = self.tariffs[0];
        self.cast
            .sink
            .ask(move |sink, store, rng| {
                Ok(sink.ask_bills_unanchored(period, &[flat], &meters, runtime::now(), store, rng)?)
            })
            .await
    }

    pub(super) async fn curves(&mut self) -> anyhow::Result<()> {
        let period = self.homes.period()?;
        for (group, members) in self.cast.groups() {
            self.cast.narrator.begin(format!("The utility asks for the load curve of {group}"), 0);
            let shape = vec![self.homes.slot().per_day() as usize; self.homes.days() as usize];
            self.shapes.send_modify(|shapes| shapes.push(shape));
            let id = self
                .cast
                .sink
                .ask(move |sink, store, rng| {
                    Ok(sink.ask_curve(period, group, &members, runtime::now(), store, rng)?)
                })
                .await?;
            self.finish(id).await?;
        }
        Ok(())
    }
}
