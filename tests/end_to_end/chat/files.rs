//! Files that hardly arrive: a citizen's slow ones hold up nobody else's, and one that stalls is cut.

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::citizen::{ACCOUNT, Citizen};
use crate::daemon::{House, Pair, eventually};

/// Where the slow files come from, as the proxy in front tells it.
const SLOW: &str = "192.0.2.1";
/// And another's.
const FAST: &str = "198.51.100.1";

async fn story(pair: Pair) {
    let house = House::with(pair, "[public]\ntrusted_proxies = \"127.0.0.1\"\n").await;
    let (slow, sister, third) = (
        Citizen::about(&house, "Lenta", "altro").await,
        Citizen::about(&house, "Sorella", "altro").await,
        Citizen::about(&house, "Terza", "altro").await,
    );
    let mut running = vec![begin(&house, &slow).await, begin(&house, &slow).await];
    refused(send(&slow, FAST).await, "two files of the chat are on their way").await;
    running.extend([begin(&house, &sister).await, begin(&house, &sister).await]);
    refused(send(&third, SLOW).await, "four files are on their way from there").await;
    assert_eq!(send(&third, FAST).await.status(), 201, "somebody else's arrives at once");

    drop(running.remove(0));
    let sent = eventually("there is room again", async || Some(send(&slow, SLOW).await).filter(|answer| answer.status() == 201)).await;
    assert_eq!(sent.json::<Value>().await.unwrap()["name"], "foto.png");
    for stalled in &mut running {
        let mut answer = String::new();
        stalled.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains(r#""code":"too_slow""#), "{answer}");
    }
    eventually("every refusal is counted", async || {
        let figures = reqwest::get(format!("{}/metrics", house.at.metrics)).await.ok()?.text().await.ok()?;
        let is_counted = |reason| figures.contains(&format!("sportello_webchat_refused_total{{reason=\"{reason}\"}}"));
        ["uploads_running", "too_slow"].into_iter().all(is_counted).then_some(())
    })
    .await;
    house.finish().await;
}

/// A file of which only the beginning comes. It is on its way when this returns.
async fn begin(house: &House, citizen: &Citizen) -> TcpStream {
    let mut stream = TcpStream::connect(house.at.public.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /chat/v1/{ACCOUNT}/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: image/png\r\n\
         Content-Length: 1000000\r\nExpect: 100-continue\r\nX-Forwarded-For: {SLOW}\r\n\r\n",
        citizen.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"the beginning").await.unwrap();
    stream
}

/// A file as it should be.
async fn send(citizen: &Citizen, from: &str) -> Response {
    let request = citizen.request(Method::POST, "/files").header("content-type", "image/png").header("x-file-name", "foto.png");
    request.header("x-forwarded-for", from).body("the whole").send().await.unwrap()
}

async fn refused(answer: Response, what: &str) {
    assert_eq!(answer.status(), 429, "{what}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{what}");
    assert_eq!(answer.headers()["retry-after"], "5", "{what}");
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "too_many", "{what}");
}

on_both_pairs!(story);
