//! A session with an SMSC that answers when it is told to: how much is on its way at once, and how long a rest is.

use rusmpp::pdus::{BindTransceiverResp, SubmitSmResp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::channel::sms::spool;

/// An SMSC to which one session is bound.
struct Peer {
    wire: Wire,
    smpp: Smpp,
    _folder: tempfile::TempDir,
    _shutdown: tokio_util::sync::DropGuard,
}

impl Peer {
    async fn bound(window: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, _) = spool::open(folder.path(), 1 << 20).expect("opens");
        let options = SmppOptions {
            address: listener.local_addr().expect("bound").to_string(),
            user: "sportello".into(),
            password: "segreto".to_owned().into(),
            system_type: String::new(),
            window,
            alphabet: ShortAlphabet::Gsm7,
        };
        let shutdown = CancellationToken::new();
        let (smpp, session) = session(options, AccountId::new("urp-sms").expect("a name"), spool, &[], Arc::default());
        tokio::spawn(session.run(shutdown.clone()));
        let (stream, _) = listener.accept().await.expect("a connection");
        let wire = Framed::new(stream, CommandCodec::new());
        let mut peer = Self { wire, smpp, _folder: folder, _shutdown: shutdown.drop_guard() };
        let bind = peer.hear().await;
        peer.say(CommandStatus::EsmeRok, bind.sequence_number(), BindTransceiverResp::default()).await;
        peer.enquire().await;
        peer
    }

    async fn say(&mut self, status: CommandStatus, sequence: u32, pdu: impl Into<Pdu>) {
        self.wire.send(Command::new(status, sequence, pdu)).await.expect("sent");
    }

    async fn hear(&mut self) -> Command {
        timeout(ANSWER_WITHIN, self.wire.next()).await.expect("in time").expect("no end").expect("a PDU")
    }

    /// Asks whether anybody is there. What is heard before the answer: nothing, or this fails.
    async fn enquire(&mut self) {
        self.say(CommandStatus::EsmeRok, 1000, Pdu::EnquireLink).await;
        assert!(matches!(self.hear().await.pdu(), Some(Pdu::EnquireLinkResp)));
    }

    /// The sequence number of the next order.
    async fn order(&mut self) -> u32 {
        let command = self.hear().await;
        assert!(matches!(command.pdu(), Some(Pdu::SubmitSm(_))), "{command:?}");
        command.sequence_number()
    }

    async fn take(&mut self, sequence: u32) {
        let id = COctetString::from_vec(format!("{sequence:x}\0").into_bytes()).expect("short");
        self.say(CommandStatus::EsmeRok, sequence, SubmitSmResp::new(id, Vec::new())).await;
    }

    async fn throttle(&mut self, sequence: u32) {
        self.say(CommandStatus::EsmeRthrottled, sequence, SubmitSmResp::default()).await;
    }

    /// Somebody sends a message.
    fn send(&self) -> JoinHandle<Result<String, SubmitError>> {
        let smpp = self.smpp.clone();
        tokio::spawn(async move { smpp.submit(SubmitSm::default()).await })
    }
}

#[tokio::test]
async fn as_many_orders_as_the_window_wait_for_their_answers() {
    for window in [1, 6] {
        let mut peer = Peer::bound(window).await;
        let sent: Vec<_> = (0..window + 2).map(|_| peer.send()).collect();
        let mut waiting = Vec::new();
        for _ in 0..window {
            waiting.push(peer.order().await);
        }
        // an order beyond the window would come before this answer
        peer.enquire().await;
        for _ in 0..2 {
            peer.take(waiting.pop().expect("one waits")).await;
            waiting.push(peer.order().await);
            peer.enquire().await;
        }
        for sequence in waiting {
            peer.take(sequence).await;
        }
        for sent in sent {
            sent.await.expect("no panic").expect("taken");
        }
    }
}

#[tokio::test]
async fn too_much_is_told_to_each_and_the_session_rests_once() {
    let mut peer = Peer::bound(3).await;
    let sent: Vec<_> = (0..3).map(|_| peer.send()).collect();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(peer.order().await);
    }
    let began = Instant::now();
    for sequence in waiting {
        peer.throttle(sequence).await;
    }
    for sent in sent {
        assert_eq!(sent.await.expect("no panic"), Err(SubmitError::Throttled));
    }
    let again = peer.send();
    peer.enquire().await;
    let sequence = peer.order().await;
    assert!(began.elapsed() >= THROTTLE_MIN);
    peer.take(sequence).await;
    assert_eq!(again.await.expect("no panic"), Ok(format!("{sequence:x}")));
}

#[test]
fn a_rest_grows_once_for_all_that_was_on_its_way() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut rest = Rest::none(start);
    assert!(rest.is_over(start));
    for answered in [100, 110, 120] {
        rest.throttled(at(50), at(answered));
    }
    assert!(!rest.is_over(at(599)) && rest.is_over(at(600)), "half a second, three times told");
    rest.taken(at(60));
    assert!(!rest.is_over(at(599)), "one that was on its way, too, is no reason to hurry");
    rest.throttled(at(650), at(700));
    assert!(!rest.is_over(at(1699)) && rest.is_over(at(1700)), "twice as long");
    for round in 2..12 {
        rest.throttled(at(round * 100_000), at(round * 100_000));
    }
    assert_eq!(rest.time, THROTTLE_MAX);
    rest.taken(at(2_000_000));
    rest.throttled(at(2_000_001), at(2_000_001));
    assert_eq!(rest.time, THROTTLE_MIN, "it took something: from the beginning");
}
