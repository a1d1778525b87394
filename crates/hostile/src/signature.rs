//! The headers of webhooks, and the secrets with which they are signed.

use tidings_event::signature::{Secret, Signer, Verifier};
use tidings_outbox::inbox::{Delivery, judge};

use super::given::parts;

const AT: i64 = 1_773_568_800;

/// An input is the three headers of a webhook, each before a zero, and its body; its first part is read as a secret and
/// as the two headers of the inbox, too.
pub fn check(input: &[u8]) {
    let parts = parts(input, 4);
    let text = |index: usize| parts.get(index).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default();
    let (id, at, signature) = (text(0), text(1), text(2));
    let body = parts.get(3).copied().unwrap_or_default();
    secret(id);
    inbox(id, at);

    // Ed25519 costs a hundred times as much, and one input in eight is enough for it.
    let mut secrets = vec![Secret::hmac([3; 32])];
    if body.len() % 8 == 0 || signature.contains("v1a,") {
        secrets.push(Secret::ed25519([5; 32]));
    }
    let keys: Vec<String> = secrets.iter().map(|secret| secret.public().unwrap_or_else(|| secret.reveal())).collect();
    let verifier = Verifier::new(keys.iter().map(String::as_str)).expect("own keys are taken");
    let signer = Signer::new(&secrets);
    if verifier.verify(id, at, signature, body, AT).is_ok() {
        let at: i64 = at.parse().expect("a timestamp that was taken is a number");
        let own = signer.sign(id, at, body);
        let repeated = own.split(' ').any(|one| signature.split_ascii_whitespace().any(|given| given == one));
        assert!(repeated, "{signature:?} is taken for {id:?}, and was not made with a key");
    }
    if id.is_empty() || id.contains('.') {
        return;
    }
    let own = signer.sign(id, AT, body);
    assert_eq!(verifier.verify(id, &AT.to_string(), &own, body, AT), Ok(()), "what was signed is refused");
    assert!(verifier.verify(id, &(AT + 1).to_string(), &own, body, AT).is_err(), "another moment is taken");
    let mut longer = body.to_vec();
    longer.push(b'x');
    assert!(verifier.verify(id, &AT.to_string(), &own, &longer, AT).is_err(), "another body is taken");
}

fn secret(text: &str) {
    let _ = Verifier::new([text]);
    let Ok(secret) = Secret::parse(text) else { return };
    let shown = secret.reveal();
    let again = Secret::parse(&shown).expect("a secret comes back from its text");
    assert_eq!(again.reveal(), shown);
    let key = secret.public().unwrap_or(shown);
    let signed = Signer::new(&[secret]).sign("id", AT, b"{}");
    let verifier = Verifier::new([key.as_str()]).expect("a secret's own key is taken");
    assert_eq!(verifier.verify("id", &AT.to_string(), &signed, b"{}", AT), Ok(()));
}

fn inbox(sequence: &str, previous: &str) {
    for previous in [None, Some(previous)] {
        let Ok(delivery) = Delivery::from_headers(sequence, previous) else { continue };
        assert!(delivery.sequence.get() > 0 && i64::try_from(delivery.previous.get()).is_ok());
        let _ = judge(delivery.previous, delivery);
    }
}
