//! Every kind of fault, and what it hits.

use std::fmt;
use std::time::Duration;

/// A connection that a proxy stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// From a node to PostgreSQL.
    Postgres(usize),
    /// From a node to NATS.
    Nats(usize),
    /// From clients to a node.
    Api(usize),
    /// From all nodes to one receiver.
    Receiver(usize),
    /// From one node to all receivers.
    Egress,
}

/// How a connection is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Reset, and refused from then on.
    Cut,
    /// Nothing comes through either way, and nobody is told.
    Blackhole,
    /// What the client sends does not arrive.
    HeldUp,
    /// What the server sends does not arrive.
    HeldDown,
    Delay,
    Trickle,
    /// Reset in the middle of an answer.
    Reset,
}

pub(crate) const HOWS: [How; 7] =
    [How::Cut, How::Blackhole, How::HeldUp, How::HeldDown, How::Delay, How::Trickle, How::Reset];

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL of a node; it is started again afterwards.
    Kill(usize),
    /// SIGTERM of a node; it is started again afterwards.
    Terminate(usize),
    /// SIGSTOP of a node, and SIGCONT.
    Pause(usize),
    Link(Link, How),
    /// A receiver is away for long.
    ReceiverGone(usize),
    /// PostgreSQL ends in good order and is started again.
    PostgresRestart,
    /// PostgreSQL and all its backends are killed; it recovers from its write-ahead log.
    PostgresCrash,
    /// SIGKILL of one backend: PostgreSQL throws out everybody and recovers.
    BackendKill,
    /// Some nodes' backends are told to end.
    BackendsTerminate,
    /// Everything of PostgreSQL stands still, as with a disk that hangs.
    PostgresStall,
    /// PostgreSQL stands still and goes on in turns, as with a disk that is slow.
    PostgresSlow,
    /// The disk under PostgreSQL has no room.
    DiskFull,
    NatsKill,
    NatsPause,
    /// NATS is killed and loses all that it had on disk.
    NatsWipe,
    /// Every stream is purged.
    NatsPurge,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres(_) => "node_postgres",
            Self::Nats(_) => "node_nats",
            Self::Api(_) => "client_node",
            Self::Receiver(_) => "nodes_receiver",
            Self::Egress => "node_receivers",
        })
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "cut",
            Self::Blackhole => "blackhole",
            Self::HeldUp => "one_way_up",
            Self::HeldDown => "one_way_down",
            Self::Delay => "delay",
            Self::Trickle => "trickle",
            Self::Reset => "reset",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill(_) => "node_kill9",
            Self::Terminate(_) => "node_sigterm",
            Self::Pause(_) => "node_sigstop",
            Self::Link(link, how) => return write!(f, "{link}_{how}"),
            Self::ReceiverGone(_) => "receiver_gone",
            Self::PostgresRestart => "postgres_restart",
            Self::PostgresCrash => "postgres_kill9",
            Self::BackendKill => "postgres_backend_kill9",
            Self::BackendsTerminate => "postgres_backends_terminated",
            Self::PostgresStall => "postgres_sigstop",
            Self::PostgresSlow => "postgres_slow",
            Self::DiskFull => "postgres_disk_full",
            Self::NatsKill => "nats_kill9",
            Self::NatsPause => "nats_sigstop",
            Self::NatsWipe => "nats_wiped",
            Self::NatsPurge => "nats_purged",
        })
    }
}

impl Fault {
    /// What it hits; of two faults that hit the same only one is there at a time.
    pub(crate) fn hits(&self) -> String {
        match self {
            Self::Kill(node) | Self::Terminate(node) | Self::Pause(node) => format!("node {node}"),
            Self::Link(Link::Receiver(no), _) | Self::ReceiverGone(no) => format!("receiver {no}"),
            Self::Link(link, _) => format!("{link:?}"),
            Self::PostgresRestart
            | Self::PostgresCrash
            | Self::BackendKill
            | Self::BackendsTerminate
            | Self::PostgresStall
            | Self::PostgresSlow
            | Self::DiskFull => "postgres".to_owned(),
            Self::NatsKill | Self::NatsPause | Self::NatsWipe | Self::NatsPurge => "nats".to_owned(),
        }
    }

    /// Whether it can be why a receiver got an event again whose partition `owner` has: what it hits lies between the
    /// two, or below them. Where the partition was handed over meanwhile, any node's trouble can have moved it.
    pub(crate) fn explains_repeat(&self, receiver: usize, owner: Option<usize>, handed_over: bool) -> bool {
        match self {
            Self::Kill(node) | Self::Terminate(node) | Self::Pause(node) | Self::Link(Link::Postgres(node), _) => {
                handed_over || owner.is_none_or(|owner| owner == *node)
            }
            Self::Link(Link::Receiver(no), _) | Self::ReceiverGone(no) => *no == receiver,
            Self::Link(Link::Egress, _)
            | Self::PostgresRestart
            | Self::PostgresCrash
            | Self::BackendKill
            | Self::BackendsTerminate
            | Self::PostgresStall
            | Self::PostgresSlow
            | Self::DiskFull => true,
            Self::Link(Link::Nats(_) | Link::Api(_), _)
            | Self::NatsKill
            | Self::NatsPause
            | Self::NatsWipe
            | Self::NatsPurge => false,
        }
    }

    /// The node that it takes away.
    pub(crate) fn node(&self) -> Option<usize> {
        match self {
            Self::Kill(node) | Self::Terminate(node) | Self::Pause(node) => Some(*node),
            _ => None,
        }
    }

    /// How long one lasts, in milliseconds, from and to.
    pub(crate) fn lasts_ms(&self) -> (u64, u64) {
        match self {
            Self::Kill(_) => (0, 15_000),
            Self::Terminate(_) => (0, 4_000),
            Self::Pause(_) => (1_000, 20_000),
            Self::Link(_, How::Reset) => (500, 4_000),
            Self::Link(..) => (1_000, 12_000),
            Self::ReceiverGone(_) => (20_000, 120_000),
            Self::PostgresRestart | Self::PostgresCrash => (0, 3_000),
            Self::BackendKill | Self::BackendsTerminate | Self::NatsPurge => (0, 1),
            Self::PostgresStall => (500, 6_000),
            Self::PostgresSlow => (2_000, 8_000),
            Self::DiskFull => (2_000, 8_000),
            Self::NatsKill | Self::NatsWipe => (0, 8_000),
            Self::NatsPause => (1_000, 8_000),
        }
    }
}

/// A fault and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Planned {
    pub(crate) fault: Fault,
    pub(crate) lasts: Duration,
}
