//! Acts of a release: a crash, a lie, and queries and cuts that an honest utility would not send.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use protocol::id::{MeterId, QueryId};
use protocol::release::inventory::{Holding, InventoryAnswer};
use protocol::release::query::Query;
use protocol::rule::Rule;
use protocol::tariff::Tariff;
use protocol::topic::{Channel, Outgoing};
use protocol::unit::{Slot, SlotRange};
use utility_sink::tariff_file;

use super::cast::PATIENCE;
use super::liar::Liar;
use super::play::Play;
use super::report::{self, Act};
use super::{GROUP, LIAR, TARIFFS, VICTIM, attack};

impl Play {
    pub(super) async fn bills_with_one_down(&mut self) -> anyhow::Result<()> {
        let mut used = Vec::new();
        for meters in self.halves(false) {
            let id = self.ask_bills(meters, self.tariffs.to_vec(), self.period()?).await?;
            used = self.finish(id).await?.0;
        }
        if self.spare == 0 {
            self.acts.push(Act::left_out(
                "an aggregator is killed half-way",
                "n = Q: this roster survives no crash",
            ));
            return Ok(());
        }
        let victim = self.deployment.aggregators[VICTIM].point;
        let exact = self.exact_bills(false).await?;
        self.acts.push(Act {
            name: format!("{} is killed half-way (SIGKILL)", self.deployment.aggregators[VICTIM].id),
            rule: None,
            tried: true,
            held: exact && !used.contains(&victim) && used.len() >= self.deployment.roster.q(),
            evidence: format!("{} bills exact from aggregators {}", self.first_half(), report::points(&used)),
        });
        Ok(())
    }

    /// The killed aggregator starts again and catches up from the meters' outboxes.
    pub(super) async fn everyone_back(&mut self) -> anyhow::Result<()> {
        if self.spare > 0 {
            self.workers[VICTIM].restart()?;
            self.wait_up(self.deployment.roster.n()).await?;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.agents.iter().any(|agent| agent.progress.borrow().backlog > 0) {
            anyhow::ensure!(Instant::now() < deadline, "the restarted aggregator did not catch up");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        if self.spare > 0 {
            self.acts.push(Act {
                name: format!("{} starts again", self.deployment.aggregators[VICTIM].id),
                rule: None,
                tried: true,
                held: true,
                evidence: "caught up: nothing waits in the meters' outboxes any more".into(),
            });
        }
        Ok(())
    }

    pub(super) async fn bills_with_a_liar(&mut self) -> anyhow::Result<()> {
        let lies = self.correctable > 0;
        if lies {
            self.workers[LIAR].kill().await?;
            let store = self.workers[LIAR].store();
            let name = self.deployment.aggregators[LIAR].id.to_string();
            let link = self.stage.settings(&name, &name);
            let shapes = self.shapes.subscribe();
            self.liar = Some(Liar::start(&self.deployment, LIAR, &store, link, shapes)?);
        }
        let mut faulty = Vec::new();
        self.drop_a_record().await?;
        for meters in self.halves(true) {
            let shape = vec![2 + self.tariffs.len(); meters.len()];
            self.shapes.send_modify(|shapes| shapes.push(shape));
            let id = self.ask_bills(meters, self.tariffs.to_vec(), self.period()?).await?;
            faulty = self.finish(id).await?.1;
            self.split_view(id).await?;
        }
        let name = format!("{} lies about every bill", self.deployment.aggregators[LIAR].id);
        if !lies {
            self.acts.push(Act::left_out(&name, "n < t + 2: this roster corrects no lie"));
            return Ok(());
        }
        let liar = self.deployment.aggregators[LIAR].point;
        self.acts.push(Act {
            name,
            rule: None,
            tried: true,
            held: faulty == [liar] && self.exact_bills(true).await?,
            evidence: format!("bills exact; named: aggregator {}", report::points(&faulty)),
        });
        Ok(())
    }

    /// The utility itself asks, and proposes a cut that leaves one record out.
    pub(super) async fn drop_a_record(&mut self) -> anyhow::Result<()> {
        let meters = self.halves(true).into_iter().next().unwrap_or_else(|| self.halves(false).concat());
        let query = attack::query(&self.deployment, self.period()?, &self.tariffs, &meters, &mut self.dice);
        let deployment = Arc::clone(&self.deployment);
        let topic = Channel::Query.of(&deployment.roster.document().deployment);
        let deadline = Instant::now() + PATIENCE;
        let inventories = loop {
            for part in Outgoing::parts(&topic, query.bytes()) {
                self.send(part).await?;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            let inventories = attack::inventories_of(&deployment, query.id, &self.seen.borrow().inventories);
            if inventories.len() == deployment.roster.n() {
                break inventories;
            }
            anyhow::ensure!(Instant::now() < deadline, "the aggregators did not answer a query");
        };
        let cut = attack::dropping_cut(&deployment, &query, &inventories, &self.published()?);
        self.propose("the utility's cut leaves a record out", Rule::CutNotDerived, cut.bytes()).await
    }

    /// The utility sends another cut of a query that was voted on.
    pub(super) async fn split_view(&mut self, id: QueryId) -> anyhow::Result<()> {
        let inventories = attack::inventories_of(&self.deployment, id, &self.seen.borrow().inventories);
        let (query, tariffs) = (self.query(id).await?, self.published()?);
        let cut = if inventories.len() > self.deployment.roster.q() {
            attack::second_cut(&self.deployment, &query, &inventories, &tariffs)
        } else {
            attack::dropping_cut(&self.deployment, &query, &inventories, &tariffs)
        };
        self.propose("the utility shows two cuts (split view)", Rule::SplitView, cut.bytes()).await
    }

    /// Sends a cut in the utility's name, and waits until a rule refuses it.
    pub(super) async fn propose(&mut self, name: &str, rule: Rule, cut: &[u8]) -> anyhow::Result<()> {
        if self.acts.iter().any(|act| act.name == name) {
            return Ok(());
        }
        let topic = Channel::Cut.of(&self.deployment.roster.document().deployment);
        self.attack(name, rule, Outgoing::parts(&topic, cut)).await
    }

    /// The tariffs that were published.
    pub(super) fn published(&self) -> anyhow::Result<Vec<Tariff>> {
        let slot = self.homes.slot();
        TARIFFS.into_iter().map(|text| Ok(Tariff::new(tariff_file::parse(text, slot)?, slot)?)).collect()
    }

    pub(super) async fn query(&self, id: QueryId) -> anyhow::Result<Query> {
        self.sink
            .ask(move |sink, _, _| {
                let release = sink.release(id).context("the sink forgot a query")?;
                Ok((release.query().clone(), Vec::new()))
            })
            .await
    }

    pub(super) async fn refused_queries(&mut self) -> anyhow::Result<()> {
        // a tariff that spells single readings
        let period = self.period()?;
        let tariff = attack::crafted_tariff(&self.deployment, period.start(), period.end())?;
        let crafted = self.sink.ask(move |sink, store, _| Ok(sink.publish_tariff(tariff, store)?)).await?;
        let meters: Vec<MeterId> = self.halves(false).concat().into_iter().take(GROUP).collect();
        let asked = meters.clone();
        let id = self
            .sink
            .ask(move |sink, store, rng| {
                Ok(sink.ask_bills_unanchored(period, &[crafted], &asked, runtime::now(), store, rng)?)
            })
            .await?;
        let rule = self
            .sink
            .wait_for("refusing a crafted tariff", move |sink, store| Ok(sink.given_up(id, store)?))
            .await?;
        self.acts.push(Act {
            name: "a crafted tariff spells single readings".into(),
            rule: Some(rule),
            tried: true,
            held: rule == Rule::Cell,
            evidence: "the whole query is refused".into(),
        });
        // the same slots again, a day shifted: the difference would be a day
        let shifted = SlotRange::new(
            Slot(period.start().0 + self.homes.slot().per_day()),
            Slot(period.end().0 + self.homes.slot().per_day()),
        )?;
        let id = self.ask_overlapping(meters, shifted).await?;
        let q = self.deployment.roster.q();
        let rules = self
            .sink
            .wait_for("refusing an overlapping query", move |sink, _| {
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
        self.acts.push(Act {
            name: "a second query overlaps the first".into(),
            rule: rules.first().copied(),
            tried: true,
            held: !rules.is_empty() && rules.iter().all(|rule| *rule == Rule::AlreadyReleased),
            evidence: "every target is refused: the difference would be a day".into(),
        });
        Ok(())
    }

    /// Asks for bills as if none had been given: what a malicious utility would send.
    pub(super) async fn ask_overlapping(
        &self,
        meters: Vec<MeterId>,
        period: SlotRange,
    ) -> anyhow::Result<QueryId> {
        let flat = self.tariffs[0];
        self.sink
            .ask(move |sink, store, rng| {
                Ok(sink.ask_bills_unanchored(period, &[flat], &meters, runtime::now(), store, rng)?)
            })
            .await
    }

    pub(super) async fn curves(&mut self) -> anyhow::Result<()> {
        let period = self.period()?;
        let mut groups: Vec<_> = self.deployment.meters.iter().map(|keys| keys.group.clone()).collect();
        groups.dedup();
        for group in groups {
            let members: Vec<MeterId> = self
                .deployment
                .meters
                .iter()
                .filter(|keys| keys.group == group)
                .map(|keys| keys.meter)
                .collect();
            let shape = vec![self.homes.slot().per_day() as usize; self.homes.days() as usize];
            self.shapes.send_modify(|shapes| shapes.push(shape));
            let id = self
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
