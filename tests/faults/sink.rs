//! The next hop for outgoing mail: a mail server that remembers the Message-ID of everything it said 250 to.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::ledger::Ledger;

/// Listens until the test ends; its port.
pub async fn listen(ledger: Arc<Ledger>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, Arc::clone(&ledger)));
        }
    });
    port
}

async fn talk(stream: TcpStream, ledger: Arc<Ledger>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 sink\r\n").await?;
    let mut mail: Option<String> = None;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match (&mut mail, line.trim_end()) {
            (Some(text), ".") => {
                if let Some(id) = message_id(text) {
                    // written down before it is said, as Postfix does
                    ledger.mailed(id);
                }
                mail = None;
                b"250 kept\r\n"
            }
            (Some(text), _) => {
                text.push_str(&line);
                continue;
            }
            (None, "DATA") => {
                mail = Some(String::new());
                b"354 go on\r\n"
            }
            (None, "QUIT") => return stream.get_mut().write_all(b"221 goodbye\r\n").await,
            (None, _) => b"250 fine\r\n",
        };
        stream.get_mut().write_all(answer).await?;
    }
}

fn message_id(mail: &str) -> Option<String> {
    let head = mail.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("message-id:"))?.to_owned();
    Some(line.split_once(':')?.1.trim().trim_matches(['<', '>']).to_owned())
}
