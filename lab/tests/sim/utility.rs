//! A utility that does as it likes: it has the sink's key, and signs whatever it wants to see.

use protocol::id::QueryId;
use protocol::release::cut::Cut;
use protocol::release::inventory::Inventory;
use protocol::release::query::{Ask, BillAsk, BillTarget, Query};
use protocol::rule::Rule;
use protocol::signature::{Document, Signed};
use protocol::tariff::Tariff;
use protocol::topic::{Channel, Outgoing};

use super::homes::day;
use super::world::World;
use lab::world::network::Name;

impl World {
    /// A query for everybody's bill of the first day.
    pub(crate) fn crafted_query(&self, tariffs: &[protocol::id::Hash]) -> Signed<Query> {
        let targets = self.meter_ids().into_iter().map(|meter| BillTarget { meter, opening: None });
        let ask = Ask::Bill(BillAsk { tariffs: tariffs.to_vec(), targets: targets.collect() });
        self.as_utility(Query { id: QueryId::from([7; 16]), period: day(0), ask, excluded: Vec::new() })
    }

    /// Signs as the utility.
    pub(crate) fn as_utility<T: Document>(&self, document: T) -> Signed<T> {
        Signed::sign(document, &self.deployment.utility, &self.deployment.roster.context())
    }

    /// Tells one aggregator something; gives the rule by which it refuses.
    pub(crate) fn tell(&mut self, aggregator: usize, channel: &Channel, document: &[u8]) -> Option<Rule> {
        let topic = channel.clone().of(&self.deployment.roster.document().deployment);
        let mut refusal = None;
        for part in Outgoing::parts(&topic, document) {
            refusal = self.inject(Name::Aggregator(aggregator), topic.to_string(), part.payload);
        }
        refusal.map(|refusal| refusal.rule)
    }

    /// The inventory that an aggregator gave for a query.
    pub(crate) fn inventory_of(&self, query: QueryId, aggregator: usize) -> Signed<Inventory> {
        let keys = &self.deployment.aggregators[aggregator];
        let bytes = &self.witness.said[&(Inventory::KIND, query, keys.point)];
        Signed::open(bytes, &keys.key.verifying_key(), &self.deployment.roster.context())
            .expect("an aggregator signs its inventory")
    }

    /// The cut that follows from the inventories of some aggregators.
    pub(crate) fn cut_from(&self, query: &Signed<Query>, aggregators: &[usize]) -> Signed<Cut> {
        let inventories: Vec<_> =
            aggregators.iter().map(|index| self.inventory_of(query.id, *index)).collect();
        let inventories: Vec<&Signed<Inventory>> = inventories.iter().collect();
        let tariffs: Vec<Tariff> = self.tariffs.iter().map(|(_, tariff)| tariff.clone()).collect();
        self.as_utility(Cut::propose(query, &inventories, &tariffs, &self.deployment.roster).0)
    }
}
