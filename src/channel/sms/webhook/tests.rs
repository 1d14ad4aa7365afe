//! Webhooks over HTTP as anybody may send them: for each provider one good request, and a long table of what forgers, broken
//! programs and careless gateways make of it. Nothing of that is kept, nothing breaks, and the good one still goes through.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedReceiver;
use tower::ServiceExt;

use super::*;
use crate::channel::sms::spool::{self, Entry};

const SECRET: &str = "0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210";
/// What each table must have at least.
const MUTATIONS_MIN: usize = 60;

/// A request that can be spoiled.
#[derive(Clone)]
struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl Call {
    fn header(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.headers.iter_mut().find(|(known, _)| *known == name).expect("a header of the request").1
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut call = self.clone();
        change(&mut call);
        call
    }
}

/// Spoiled in some way, and the status that must come of it.
type Mutation = (String, Call, u16);

struct Rig {
    router: Router,
    entries: UnboundedReceiver<Entry>,
    counters: Arc<SmsCounters>,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new(signer: fn(Vec<SecretString>) -> Signer) -> Self {
        Self::within(signer, REQUEST_WITHIN)
    }

    fn within(signer: fn(Vec<SecretString>) -> Signer, within: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, entries) = spool::open(folder.path(), 1 << 26).expect("opens");
        let account = |name: &str| name.parse::<AccountId>().expect("a name");
        let signers = [
            (account("urp-sms"), signer(vec![SECRET.into(), "the-one-before".into()])),
            (account("altro-sms"), signer(vec![OTHER_SECRET.into()])),
        ];
        let counters = Arc::new(SmsCounters::default());
        let webhooks = Webhooks {
            signers: signers.into(),
            public_url: "https://contatti.comune.example/".parse().expect("a URL"),
            spool,
            counters: Arc::clone(&counters),
        };
        Self { router: router_within(Arc::new(webhooks), within), entries, counters, _folder: folder }
    }

    async fn ask(&self, call: &Call) -> (u16, Vec<u8>) {
        let mut request = Request::builder().method(call.method).uri(&call.path);
        for (name, value) in &call.headers {
            request = request.header(*name, &value[..]);
        }
        let answer = self.router.clone().oneshot(request.body(Body::from(call.body.clone())).expect("a request")).await;
        let answer = answer.expect("always an answer");
        let status = answer.status().as_u16();
        (status, to_bytes(answer.into_body(), 1 << 20).await.expect("a body").to_vec())
    }

    fn kept(&mut self) -> Option<Taken> {
        let entry = self.entries.try_recv().ok()?;
        let taken = serde_json::from_slice(&entry.content).expect("what we wrote");
        entry.done();
        Some(taken)
    }

    /// Each as expected, and after each the good one is still taken.
    async fn check(mut self, good: &Call, id: &str, mutations: Vec<Mutation>) {
        assert!(mutations.len() >= MUTATIONS_MIN, "{}", mutations.len());
        let mut wrong = Vec::new();
        for (what, call, expected) in mutations {
            let (status, body) = self.ask(&call).await;
            let kept = self.kept().is_some();
            if status != expected || (kept && status != 204) || String::from_utf8_lossy(&body).contains(SECRET) {
                wrong.push(format!("{what}: {status} instead of {expected}, kept: {kept}: {}", String::from_utf8_lossy(&body)));
            }
            while self.kept().is_some() {}
            assert_eq!(self.ask(good).await.0, 204, "the good one after: {what}");
            match self.kept().map(|taken| taken.said) {
                Some(Said::Received(received)) => assert_eq!(received.id, id, "after: {what}"),
                other => panic!("the good one after {what}: {other:?}"),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let counted = |outcome: &str| self.counters.all().iter().filter(|(_, name, _)| *name == outcome).map(|(.., n)| n).sum::<u64>();
        assert!(counted("unproven") > 20 && counted("unreadable") > 5 && counted("taken") >= MUTATIONS_MIN as u64);
    }
}

#[tokio::test]
async fn a_body_that_does_not_end_is_not_waited_for() {
    let rig = Rig::within(Signer::Standard, Duration::from_millis(50));
    let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::post(TWILIO_PATH).body(endless).expect("a request");
    let answer = tokio::time::timeout(REQUEST_WITHIN, rig.router.clone().oneshot(request)).await;
    assert_eq!(answer.expect("in time").expect("always an answer").status(), 503);
}

fn mac<M: Mac + KeyInit>(secret: &str, signed: &[u8]) -> Vec<u8> {
    <M as KeyInit>::new_from_slice(secret.as_bytes()).expect("a key").chain_update(signed).finalize().into_bytes().to_vec()
}

/// What can be done to any provider's request. `proofs` are the headers that prove it.
fn spoiled(good: &Call, proofs: &[&'static str]) -> Vec<Mutation> {
    let mut table: Vec<Mutation> = Vec::new();
    let mut add = |what: String, call: Call, expected: u16| table.push((what, call, expected));
    for proof in proofs {
        add(format!("{proof} is absent"), good.with(|call| call.headers.retain(|(name, _)| name != proof)), 403);
        type Change = fn(&mut Vec<u8>);
        let changes: [(&str, Change); 10] = [
            ("empty", Vec::clear),
            ("a space", |value| *value = b" ".to_vec()),
            ("cut", |value| value.truncate(value.len() / 2)),
            ("without its end", |value| value.truncate(value.len() - 1)),
            ("longer", |value| value.extend(b"AAAA")),
            ("another at its end", |value| *value.last_mut().expect("not empty") ^= 3),
            ("another in its middle", |value| {
                let middle = value.len() / 2;
                value[middle] = if value[middle] == b'7' { b'8' } else { b'7' };
            }),
            ("not ASCII", |value| value[0] = 0xff),
            ("very long", |value| *value = vec![b'A'; 8 * 1024]),
            ("a list", |value| value.extend(b",,,,;;;;   x=y")),
        ];
        for (what, change) in changes {
            add(format!("{proof} is {what}"), good.with(|call| change(call.header(proof))), 403);
        }
    }
    for place in [0, 1, good.body.len() / 3, good.body.len() / 2, good.body.len() - 2] {
        add(format!("byte {place} of the body is another"), good.with(|call| call.body[place] ^= 1), 403);
    }
    for (what, tail) in
        [("NUL", &b"\0"[..]), ("a line", b"\r\n"), ("bad UTF-8", b"\xff\xfe\xf0\x80"), ("a field", b"&Body=altro"), ("itself", b"{}")]
    {
        add(format!("the body has {what} behind it"), good.with(|call| call.body.extend(tail)), 403);
    }
    add("the body is empty".into(), good.with(|call| call.body.clear()), 403);
    add("the body is cut".into(), good.with(|call| call.body.truncate(call.body.len() - 1)), 403);
    add("the body is noise".into(), good.with(|call| call.body = (0..=255).collect()), 403);
    add("the body is 1 MB".into(), good.with(|call| call.body.resize(1 << 20, b'a')), 413);
    for (path, expected) in [
        ("/sms/v1/altro-sms", 403),
        ("/sms/v1/nessuno", 404),
        ("/sms/v1/URP-SMS", 404),
        ("/sms/v1/urp-sms%2e", 404),
        ("/sms/v1/..%2furp-sms", 404),
        ("/sms/v1/%ff", 400),
        ("/sms/v1/", 404),
        ("/sms/v2/urp-sms", 404),
        ("/sms/v1/urp-sms/x", 404),
    ] {
        add(format!("sent to {path}"), good.with(|call| call.path = path.into()), expected);
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        add(format!("by {method}"), good.with(|call| call.method = method), 405);
    }
    table
}

// ── Twilio ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const TWILIO_PATH: &str = "/sms/v1/urp-sms";

fn twilio_call(fields: &[(&str, &str)], secret: &str) -> Call {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let signed = sorted.iter().fold(format!("https://contatti.comune.example{TWILIO_PATH}"), |text, (name, value)| text + name + value);
    Call {
        method: "POST",
        path: TWILIO_PATH.into(),
        headers: vec![
            ("content-type", b"application/x-www-form-urlencoded".to_vec()),
            ("x-twilio-signature", STANDARD.encode(mac::<Hmac<Sha1>>(secret, signed.as_bytes())).into_bytes()),
        ],
        body: body.into_bytes(),
    }
}

fn twilio_json(body: &str) -> Call {
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("{TWILIO_PATH}?bodySHA256={digest}");
    let signed = format!("https://contatti.comune.example{path}");
    let signature = STANDARD.encode(mac::<Hmac<Sha1>>(SECRET, signed.as_bytes())).into_bytes();
    let headers = vec![("content-type", b"application/json".to_vec()), ("x-twilio-signature", signature)];
    Call { method: "POST", path, headers, body: body.as_bytes().to_vec() }
}

#[tokio::test]
async fn what_is_made_of_twilios_requests() {
    let fields =
        [("MessageSid", "SM1"), ("From", "+393331234567"), ("To", "+390471000001"), ("Body", "Perché è così? 👋"), ("NumMedia", "0")];
    let good = twilio_call(&fields, SECRET);
    let mut table = spoiled(&good, &["x-twilio-signature"]);
    let mut add = |what: &str, call: Call, expected: u16| table.push((what.to_owned(), call, expected));
    let changed = |name: &str, value: &str| {
        let fields: Vec<_> = fields.iter().map(|(known, old)| (*known, if *known == name { value } else { *old })).collect();
        twilio_call(&fields, SECRET)
    };
    let without = |name: &str| twilio_call(&fields.iter().copied().filter(|(known, _)| *known != name).collect::<Vec<_>>(), SECRET);
    let long = "x".repeat(20_000);
    add("another's secret", twilio_call(&fields, OTHER_SECRET), 403);
    add("no secret", twilio_call(&fields, ""), 403);
    add("the secret before, while it changes", twilio_call(&fields, "the-one-before"), 204);
    add("a query that was not signed", good.with(|call| call.path.push_str("?message=ms_1")), 403);
    add("as JSON, without a digest", good.with(|call| *call.header("content-type") = b"application/json".to_vec()), 403);
    add("as no known type", good.with(|call| *call.header("content-type") = b"\xff/x".to_vec()), 403);
    add(
        "by an algorithm that is none",
        good.with(|call| call.headers.push(("x-twilio-webhooks-signature-settings", b"algorithm=none".to_vec()))),
        403,
    );
    for name in ["MessageSid", "From", "To"] {
        add(&format!("without {name}"), without(name), 422);
        add(&format!("{name} is empty"), changed(name, ""), 422);
        add(&format!("{name} is blank"), changed(name, " \t"), 422);
        add(&format!("{name} is long"), changed(name, &long), 422);
        add(&format!("{name} is 1 MB"), changed(name, &"x".repeat(1 << 20)), 413);
    }
    add("Body is long", changed("Body", &long), 422);
    add("Body is 1 MB", changed("Body", &"à".repeat(1 << 20)), 413);
    add("without Body", without("Body"), 204);
    add("Body has a NUL", changed("Body", "a\0b"), 204);
    add("Body is a script", changed("Body", "<script>alert(1)</script>"), 204);
    for count in ["-1", "x", "1e3", "99999999999999999999999"] {
        add(&format!("NumMedia is {count}"), changed("NumMedia", count), 422);
    }
    add("NumMedia is more than there are", changed("NumMedia", "4000000000"), 204);
    add("a status of nothing that is known", twilio_call(&[("MessageSid", "SM1"), ("MessageStatus", "dreaming")], SECRET), 204);
    for body in ["", "null", "[]", "\"x\"", "{", "{\"MessageSid\":{}}", "{\"MessageSid\":\"SM1\"}", &"[".repeat(100_000)] {
        add(&format!("JSON {}", body.get(..10).unwrap_or(body)), twilio_json(body), 422);
    }
    let json = twilio_json(r#"{"MessageSid":"SM1","From":"+393331234567","To":"+390471000001","Body":"ciao"}"#);
    add("JSON", json.clone(), 204);
    add("JSON with another body", json.with(|call| call.body[3] ^= 1), 403);
    add("JSON with another digest", json.with(|call| call.path = call.path.replace("SHA256=", "SHA256=0")), 403);
    Rig::new(Signer::Twilio).check(&good, "SM1", table).await;
}

// ── Vonage ────────────────────────────────────────────────────────────────────────────────────────────────────────────

fn vonage_call(body: &str, at: i64, secret: &str, alg: &str) -> Call {
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let claims = format!(r#"{{"iat":{at},"jti":"j1","iss":"Vonage","api_key":"k","payload_hash":"{digest}"}}"#);
    vonage_token(body, &claims, secret, alg)
}

fn vonage_token(body: &str, claims: &str, secret: &str, alg: &str) -> Call {
    let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac::<Hmac<Sha256>>(secret, signed.as_bytes()));
    Call {
        method: "POST",
        path: TWILIO_PATH.into(),
        headers: vec![
            ("content-type", b"application/json".to_vec()),
            ("authorization", format!("Bearer {signed}.{signature}").into_bytes()),
        ],
        body: body.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn what_is_made_of_vonages_requests() {
    let seconds = now().0 / 1_000_000;
    let text = r#"{"channel":"sms","message_uuid":"v1","from":"393331234567","to":"390471000001","message_type":"text","text":"Perché?"}"#;
    let signed = |body: &str| vonage_call(body, now().0 / 1_000_000, SECRET, "HS256");
    let good = signed(text);
    let mut table = spoiled(&good, &["authorization"]);
    let mut add = |what: String, call: Call, expected: u16| table.push((what, call, expected));
    add("another's secret".into(), vonage_call(text, seconds, OTHER_SECRET, "HS256"), 403);
    add("no secret".into(), vonage_call(text, seconds, "", "HS256"), 403);
    add("the secret before, while it changes".into(), vonage_call(text, seconds, "the-one-before", "HS256"), 204);
    for alg in ["none", "None", "HS384", "RS256", "ES256", "", "HS256 "] {
        add(format!("by `{alg}`"), vonage_call(text, seconds, SECRET, alg), 403);
    }
    for late in [-86_400, -301, 400, 86_400, i64::MIN / 2, i64::MAX / 2] {
        add(format!("made {late} s from now"), vonage_call(text, seconds.saturating_add(late), SECRET, "HS256"), 403);
    }
    for claims in ["", "{}", "null", "[]", r#"{"iat":"x"}"#, r#"{"iat":1e400,"jti":"j","payload_hash":"x"}"#, "\u{fffd}"] {
        add(format!("claims {claims}"), vonage_token(text, claims, SECRET, "HS256"), 403);
    }
    add("by Basic".into(), good.with(|call| *call.header("authorization") = b"Basic azpz".to_vec()), 403);
    let long = "x".repeat(20_000);
    for (what, from, to) in [
        ("no id", r#""message_uuid":"v1""#, r#""other":1"#.to_owned()),
        ("an empty id", r#""v1""#, r#""""#.to_owned()),
        ("a long id", r#""v1""#, format!("\"{long}\"")),
        ("an id that is a number", r#""v1""#, "1".to_owned()),
        ("an id that is a list", r#""v1""#, "[]".to_owned()),
        ("no sender", r#""from":"393331234567","#, String::new()),
        ("a sender that is an object", r#""393331234567""#, "{}".to_owned()),
        ("a long sender", r#""393331234567""#, format!("\"{long}\"")),
        ("no recipient", r#""to":"390471000001","#, String::new()),
        ("a blank recipient", r#""390471000001""#, r#"" ""#.to_owned()),
        ("no type", r#""message_type":"text","#, String::new()),
        ("a long text", "Perché?", long.clone()),
        ("a text that is a number", r#""Perché?""#, "1".to_owned()),
        ("a lone surrogate", "Perché?", r"\ud800".to_owned()),
        ("no end", r#""text":"Perché?"}"#, r#""text":"Perch"#.to_owned()),
        ("a field twice", r#""channel":"sms","#, r#""text":"a","#.to_owned()),
        ("a file without address", r#""channel":"sms","#, r#""image":{},"#.to_owned()),
        ("very deep", r#""channel":"sms","#, format!(r#""x":{},"#, "[".repeat(50_000))),
    ] {
        add(format!("has {what}"), signed(&text.replace(from, &to)), 422);
    }
    add("1 MB in a field".into(), signed(&text.replace("Perché?", &"x".repeat(1 << 20))), 413);
    add("a NUL in the text".into(), signed(&text.replace("Perché?", "a\\u0000b")), 204);
    add("no text".into(), signed(&text.replace(r#","text":"Perché?""#, "")), 204);
    add("an unknown status".into(), signed(r#"{"message_uuid":"v1","status":"dreaming"}"#), 204);
    for body in ["null", "[]", "\"x\"", "{", "1"] {
        add(format!("is {body}"), signed(body), 422);
    }
    Rig::new(Signer::Vonage).check(&good, "v1", table).await;
}

// ── a standard webhook ────────────────────────────────────────────────────────────────────────────────────────────────

fn standard_call(id: &str, time: &str, body: &str, secret: &str) -> Call {
    let signature = STANDARD.encode(mac::<Hmac<Sha256>>(secret, format!("{id}.{time}.{body}").as_bytes()));
    Call {
        method: "POST",
        path: TWILIO_PATH.into(),
        headers: vec![
            ("content-type", b"application/json".to_vec()),
            ("webhook-id", id.as_bytes().to_vec()),
            ("webhook-timestamp", time.as_bytes().to_vec()),
            ("webhook-signature", format!("v1,{signature}").into_bytes()),
        ],
        body: body.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn what_is_made_of_a_gateways_requests() {
    let seconds = now().0 / 1_000_000;
    let time = seconds.to_string();
    let text = r#"{"type":"message","id":"g1","from":"+393331234567","to":"+390471000001","text":"Perché?"}"#;
    let signed = |body: &str| standard_call("msg_1", &time, body, SECRET);
    let good = signed(text);
    let mut table = spoiled(&good, &["webhook-id", "webhook-timestamp", "webhook-signature"]);
    // a signature beside others is still one: a list of them is how secrets are replaced
    table.retain(|(what, ..)| what != "webhook-signature is a list");
    let mut add = |what: String, call: Call, expected: u16| table.push((what, call, expected));
    add("another's secret".into(), standard_call("msg_1", &time, text, OTHER_SECRET), 403);
    add("no secret".into(), standard_call("msg_1", &time, text, ""), 403);
    add("the secret before, while it changes".into(), standard_call("msg_1", &time, text, "the-one-before"), 204);
    add("an id with a full stop".into(), standard_call("msg.1", &time, text, SECRET), 403);
    for late in [-86_400, -301, 400, 86_400] {
        add(format!("made {late} s from now"), standard_call("msg_1", &(seconds + late).to_string(), text, SECRET), 403);
    }
    for odd in ["x", "-1", "1e9", "0x5", "99999999999999999999", "1.5"] {
        add(format!("made at {odd}"), standard_call("msg_1", odd, text, SECRET), 403);
    }
    let version = |version: &'static [u8]| good.with(|call| drop(call.header("webhook-signature").splice(..2, version.iter().copied())));
    for other in [&b"v0"[..], b"v1a", b"v2", b"V1", b""] {
        add(format!("a signature of version {}", String::from_utf8_lossy(other)), version(other), 403);
    }
    let long = "x".repeat(20_000);
    for (what, from, to) in [
        ("no type", r#""type":"message","#, String::new()),
        ("an unknown type", r#""message""#, r#""call""#.to_owned()),
        ("a type that is a list", r#""message""#, "[]".to_owned()),
        ("no id", r#""id":"g1","#, String::new()),
        ("an empty id", r#""g1""#, r#""""#.to_owned()),
        ("a long id", r#""g1""#, format!("\"{long}\"")),
        ("an id that is a number", r#""g1""#, "1".to_owned()),
        ("no sender", r#""from":"+393331234567","#, String::new()),
        ("a long sender", r#""+393331234567""#, format!("\"{long}\"")),
        ("a blank recipient", r#""+390471000001""#, r#"" ""#.to_owned()),
        ("a long text", "Perché?", long.clone()),
        ("a text that is null", r#""Perché?""#, "[null]".to_owned()),
        ("a lone surrogate", "Perché?", r"\udfff".to_owned()),
        ("no end", r#""text":"Perché?"}"#, r#""text":"Perch"#.to_owned()),
        ("very deep", r#""text":"Perché?"}"#, format!(r#""x":{}"#, "[".repeat(50_000))),
    ] {
        add(format!("has {what}"), signed(&text.replace(from, &to)), 422);
    }
    add("1 MB in a field".into(), signed(&text.replace("Perché?", &"x".repeat(1 << 20))), 413);
    add("a NUL in the text".into(), signed(&text.replace("Perché?", "a\\u0000b")), 204);
    for body in ["null", "[]", "\"x\"", "{", "1", ""] {
        add(format!("is `{body}`"), signed(body), 422);
    }
    Rig::new(Signer::Standard).check(&good, "g1", table).await;
}
