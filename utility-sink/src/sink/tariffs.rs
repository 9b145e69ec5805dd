//! The tariffs that the sink publishes.

use protocol::certificate::deployment_context;
use protocol::id::Hash;
use protocol::release::query::{Ask, Query};
use protocol::signature::Signed;
use protocol::tariff::{Tariff, TariffDocument};
use protocol::topic::{Channel, Outgoing};
use store::Store;

use super::{Sink, SinkError, TARIFF};

impl Sink {
    /// Publishes a tariff; its hash names it in queries.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub fn publish_tariff(
        &mut self,
        document: TariffDocument,
        store: &mut dyn Store,
    ) -> Result<(Hash, Vec<Outgoing>), SinkError> {
        let tariff = Tariff::new(document.clone(), self.party.roster().slot())?;
        // A tariff outlives rosters, so it is bound to the deployment.
        let context = deployment_context(&self.party.roster().document().deployment);
        let signed = Signed::sign(document, &self.party.identity.key, &context);
        let hash = signed.hash();
        store.put(TARIFF, hash.as_bytes(), signed.bytes())?;
        let published = (tariff, signed.into_bytes());
        let sends = self.tariff_sends(&published);
        self.tariffs.insert(hash, published);
        Ok((hash, sends))
    }

    pub(super) fn tariff_sends(&self, (tariff, bytes): &(Tariff, Vec<u8>)) -> Vec<Outgoing> {
        Outgoing::retained_parts(&self.party.topic(Channel::Tariff(tariff.document().id.clone())), bytes)
    }

    /// The messages that publish a query's tariffs.
    pub(super) fn publishing(&self, query: &Query) -> Vec<Outgoing> {
        let Ask::Bill(ask) = &query.ask else { return Vec::new() };
        let published = ask.tariffs.iter().filter_map(|hash| self.tariffs.get(hash));
        published.flat_map(|published| self.tariff_sends(published)).collect()
    }

    pub(super) fn tariffs_of(&self, query: &Query) -> Result<Vec<Tariff>, SinkError> {
        let Ask::Bill(ask) = &query.ask else { return Ok(Vec::new()) };
        ask.tariffs
            .iter()
            .map(|hash| self.tariffs.get(hash).map(|(t, _)| t.clone()).ok_or(SinkError::TariffUnknown(*hash)))
            .collect()
    }
}
