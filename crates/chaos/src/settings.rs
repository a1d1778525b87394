//! What a run consists of: tenants, endpoints, rates and lengths of time.

use std::time::Duration;

/// The tenants that all producers emit for.
pub(crate) const TENANTS: [&str; 8] = ["acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "tyrell"];
/// The type of most events, and that of the others.
pub(crate) const ORDER: &str = "shop.order.placed";
pub(crate) const CART: &str = "shop.cart.closed";
/// Entities of one tenant.
pub(crate) const ENTITIES: u64 = 23;
/// One event in so many is a cart.
pub(crate) const CARTS: u64 = 6;
/// Partitions of the log: fewer than tenants, more than nodes.
pub(crate) const PARTITIONS: u16 = 6;

/// Whether events of a type come from the producers, not from Tidings itself.
pub(crate) fn of_producer(event_type: &str) -> bool {
    event_type.starts_with("shop.")
}

/// In what order an endpoint gets its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordering {
    None,
    Entity,
    Strict,
}

impl Ordering {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Entity => "entity",
            Self::Strict => "strict",
        }
    }
}

/// How an endpoint's receiver behaves by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    Healthy,
    /// Answers after a while.
    Slow(Duration),
    /// Answers 500 to one event in ten, the first time.
    Flaky,
}

/// Which events an endpoint wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    All,
    Carts,
    /// Orders always; carts as its filter stands at the moment, which changes while everything runs.
    OrdersAndPerhapsCarts,
}

impl Wants {
    /// The types that it names when it is made.
    pub(crate) fn types(self) -> Vec<&'static str> {
        match self {
            Self::All => vec!["shop.*"],
            Self::Carts => vec!["shop.cart.*"],
            Self::OrdersAndPerhapsCarts => vec!["shop.order.*"],
        }
    }

    /// Whether an event of a type must come. What Tidings itself tells a tenant comes only where it is named.
    pub(crate) fn must(self, event_type: &str) -> bool {
        match self {
            Self::All => of_producer(event_type),
            Self::Carts => event_type == CART,
            Self::OrdersAndPerhapsCarts => event_type == ORDER,
        }
    }

    /// Whether an event of a type may come.
    pub(crate) fn may(self, event_type: &str) -> bool {
        self.must(event_type) || (self == Self::OrdersAndPerhapsCarts && event_type == CART)
    }
}

/// One endpoint that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) tenant: &'static str,
    pub(crate) ordering: Ordering,
    pub(crate) manner: Manner,
    pub(crate) wants: Wants,
}

/// The endpoints of a run: two a tenant, of all manners.
pub(crate) fn endpoints() -> Vec<Plan> {
    let slow = Manner::Slow(Duration::from_millis(150));
    let kinds = [
        (Ordering::Entity, Manner::Healthy, Wants::All),
        (Ordering::None, slow, Wants::All),
        (Ordering::Strict, Manner::Healthy, Wants::All),
        (Ordering::Entity, Manner::Flaky, Wants::All),
        (Ordering::None, Manner::Healthy, Wants::All),
        (Ordering::Strict, Manner::Flaky, Wants::All),
        (Ordering::Entity, Manner::Healthy, Wants::OrdersAndPerhapsCarts),
        (Ordering::Strict, Manner::Healthy, Wants::Carts),
    ];
    let plan = |at: usize, (ordering, manner, wants): (Ordering, Manner, Wants)| Plan {
        tenant: TENANTS[at / 2],
        ordering,
        manner,
        wants,
    };
    kinds.into_iter().cycle().take(2 * TENANTS.len()).enumerate().map(|(at, kind)| plan(at, kind)).collect()
}
