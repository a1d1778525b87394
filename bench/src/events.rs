//! The events that every figure is measured with: about 500 bytes of `data`, the fields a real product fills.

use tidings_event::{Event, Mint, SystemMint, parse_event};

/// Makes events of one tenant.
pub(crate) struct Maker {
    mint: SystemMint,
    tenant: String,
    made: u64,
}

impl Maker {
    pub(crate) fn new(tenant: impl Into<String>) -> Self {
        Self { mint: SystemMint::default(), tenant: tenant.into(), made: 0 }
    }

    /// The envelope as a producer would send it, without an id.
    pub(crate) fn json(&mut self) -> String {
        self.made += 1;
        envelope(&self.tenant, self.made)
    }

    /// A parsed event with a new id.
    pub(crate) fn event(&mut self) -> Event {
        let json = self.json();
        parse_event(json.as_bytes(), &mut self.mint).expect("the maker's events are valid")
    }

    pub(crate) fn events(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.event()).collect()
    }

    pub(crate) fn id(&mut self) -> String {
        self.mint.id().to_string()
    }
}

/// One envelope; `n` is its order.
pub(crate) fn envelope(tenant: &str, n: u64) -> String {
    let note = "The customer asked for delivery before noon and for a call from the driver. ".repeat(4);
    format!(
        concat!(
            r#"{{"type":"shop.order.paid","tenant":"{tenant}","source":{{"type":"service","id":"shop"}},"#,
            r#""entity":{{"type":"order","id":"order_{entity}"}},"actor":"user_{actor}","#,
            r#""data":{{"order":{n},"amount":{amount}.50,"currency":"EUR","lines":[{{"sku":"A-{n}","quantity":2}},"#,
            r#"{{"sku":"B-{n}","quantity":1}}],"note":"{note}","paid":true}}}}"#
        ),
        tenant = tenant,
        entity = n % 5_000,
        actor = n % 97,
        n = n,
        amount = n % 1_000,
        note = note,
    )
}

/// A small event with an id of its own; `n` is its order.
pub(crate) fn slim(tenant: &str, n: u64) -> String {
    format!(
        concat!(
            r#"{{"id":"e{n}","type":"shop.order.paid","tenant":"{tenant}","source":{{"type":"service","id":"shop"}},"#,
            r#""entity":{{"type":"order","id":"order_{entity}"}},"data":{{"order":{n},"paid":true}}}}"#
        ),
        tenant = tenant,
        entity = n % 5_000,
        n = n,
    )
}
