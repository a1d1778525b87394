//! Secrets: how they are kept and replaced.

use tidings_engine::endpoints::{EndpointError, NewEndpoint, Rotate, SECRETS_MAX, Scheme};

use super::*;
use crate::on_both;

const OWN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Everything that the database holds of endpoints, as bytes.
async fn stored(log: &Log) -> Vec<u8> {
    if let Some(path) = log.url().strip_prefix("sqlite://") {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.extend(std::fs::read(format!("{path}-wal")).unwrap_or_default());
        return bytes;
    }
    let (client, connection) = tokio_postgres::connect(log.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let schema: String = client
        .query_one("SELECT table_schema FROM information_schema.tables WHERE table_name = 'endpoints'", &[])
        .await
        .unwrap()
        .get(0);
    let rows = client.query(&format!("SELECT secrets, e::text FROM \"{schema}\".endpoints e"), &[]).await.unwrap();
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend_from_slice(row.get::<_, &[u8]>(0));
        bytes.extend_from_slice(row.get::<_, &str>(1).as_bytes());
    }
    drop(client);
    connection.await.unwrap().unwrap();
    bytes
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

on_both! {
    async fn no_secret_is_stored_in_the_clear(log: Log) {
        use base64::Engine as _;
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let (made, first, _) = bench.endpoints.create(&who(), &acme, endpoint(SOMEWHERE)).await.unwrap();
        let own = Rotate { secret: Some(OWN.to_owned()), ..Rotate::default() };
        bench.endpoints.rotate(&who(), &acme, &made.id, own).await.unwrap();
        let pair = Rotate { scheme: Some(Scheme::V1a), ..Rotate::default() };
        let (private, public) = bench.endpoints.rotate(&who(), &acme, &made.id, pair).await.unwrap();
        assert!(private.starts_with("whsk_") && public.unwrap().starts_with("whpk_"));
        let bytes = stored(&log).await;
        assert!(holds(&bytes, made.id.as_str().as_bytes()), "this is where endpoints are stored");
        for secret in [first.as_str(), OWN, private.as_str()] {
            let encoded = secret.split_once('_').unwrap().1;
            let raw = base64::prelude::BASE64_STANDARD.decode(encoded).unwrap();
            assert!(!holds(&bytes, encoded.as_bytes()) && !holds(&bytes, &raw), "{secret}");
        }
        bench.engine.shutdown().await;
    }

    async fn old_secrets_stay_valid_for_the_overlap_and_no_longer(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let (made, text, public) = bench.endpoints.create(&who(), &acme, endpoint(SOMEWHERE)).await.unwrap();
        assert!(text.starts_with("whsec_") && public.is_none());
        let id = made.id;
        let first = bench.endpoints.secrets(&acme, &id).await.unwrap();
        assert_eq!((first.len(), first[0].expires_at, first[0].scheme), (1, None, Scheme::V1));
        bench.endpoints.rotate(&who(), &acme, &id, Rotate { overlap_s: 60, ..Rotate::default() }).await.unwrap();
        let both = bench.endpoints.secrets(&acme, &id).await.unwrap();
        assert_eq!((both.len(), both[0].expires_at, &both[1].id), (2, None, &first[0].id));
        let overlap = both[1].expires_at.unwrap().as_micros() - both[0].created_at.as_micros();
        assert_eq!(overlap, 60_000_000);
        bench.endpoints.rotate(&who(), &acme, &id, Rotate { overlap_s: 0, ..Rotate::default() }).await.unwrap();
        let last = bench.endpoints.secrets(&acme, &id).await.unwrap();
        assert_eq!((last.len(), last[0].expires_at), (1, None), "without an overlap the others end at once");
        bench.engine.shutdown().await;
    }

    async fn a_rotation_is_checked_and_bounded(log: Log) {
        let bench = Bench::over(&log).await;
        let acme = tenant("acme");
        let own = NewEndpoint { secret: Some(OWN.to_owned()), ..endpoint(SOMEWHERE) };
        let (made, text, _) = bench.endpoints.create(&who(), &acme, own).await.unwrap();
        assert_eq!(text, OWN);
        let rotate = async |rotate| bench.endpoints.rotate(&who(), &acme, &made.id, rotate).await;
        let wrong = Rotate { secret: Some("hello".to_owned()), overlap_s: 604_801, ..Rotate::default() };
        let told = violations(rotate(wrong).await.unwrap_err());
        assert_eq!(told.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/overlap_s", "/secret"]);
        let same = rotate(Rotate { secret: Some(OWN.to_owned()), ..Rotate::default() }).await;
        assert_eq!(violations(same.unwrap_err())[0].0, "/secret");
        for _ in 1..SECRETS_MAX {
            rotate(Rotate::default()).await.unwrap();
        }
        let full = rotate(Rotate::default()).await.unwrap_err();
        assert!(matches!(full, EndpointError::LimitReached { max: 5 }), "{full:?}");
        rotate(Rotate { overlap_s: 0, ..Rotate::default() }).await.unwrap();
        assert_eq!(bench.endpoints.secrets(&acme, &made.id).await.unwrap().len(), 1);
        bench.engine.shutdown().await;
    }
}
