//! The transcript that a citizen asked for: when the chat is over, as a normal letter by the administration's own email account.

use std::fmt::Write;

use super::Shared;
use super::publish::conversation_of;
use crate::model::channel::Language;
use crate::model::command::{Actor, Authority, Command, CommandBody, Reply};
use crate::model::contact::{Contact, ContactState, Direction};
use crate::model::conversation::{Message, Party};
use crate::model::id::{CommandId, MessageId};
use crate::port::chat::{ChatChange, ChatSession};
use crate::port::commands::{CommandEnvelope, CommandText};

/// The longest transcript, in bytes: the middle is left out.
const TEXT_BYTES_MAX: usize = 24 * 1024;

/// Whether nothing more is said in a contact.
fn is_over(contact: &Contact) -> bool {
    contact.state.is_final() || matches!(contact.state, ContactState::WrapUp { .. })
}

/// Whether an operator has written: words of nobody but the citizen are not sent to whatever address they gave.
fn was_answered(messages: &[Message]) -> bool {
    let said = messages.iter().filter(|message| message.channel.is_session());
    said.into_iter().any(|message| message.direction == Direction::Outbound && message.author.is_some())
}

/// Hands over the transcript of a chat that is over; of one that is not, it waits on. What cannot be sent is done with, too.
pub async fn send(chat: &Shared, session: &ChatSession) -> Result<(), String> {
    let Some(to) = &session.transcript_to else { return Ok(()) };
    let conversation = conversation_of(&chat.ids, &session.account, session.id);
    let view = chat.store.conversation(&session.administration, conversation).await.map_err(|error| error.to_string())?;
    // an operator had written when it was asked for: what is not there any more was erased
    let Some(view) = view else { return done(chat, session).await };
    let Some(contact) = view.contacts.last().filter(|contact| is_over(contact)) else { return Ok(()) };
    if !was_answered(&view.messages) {
        return done(chat, session).await;
    }
    let plan = chat.current_plan();
    let Some(account) = plan.mail_account(&session.administration, Some(&contact.queue)) else {
        let administration = &session.administration;
        tracing::warn!(%administration, "a transcript is not sent: {administration} has no email account in the plan");
        return done(chat, session).await;
    };
    let Some(pool) = plan.pool_of(&account).cloned() else {
        tracing::warn!(%account, "a transcript is not sent: the plan has no pool for the account {account}");
        return done(chat, session).await;
    };
    let mut names = Vec::new();
    for message in &view.messages {
        names.push(match message.author {
            Some(author) => chat.room.name(author).await,
            None => None,
        });
    }
    let body_name = plan.administrations.get(&session.administration).map(|body| body.name.as_str()).unwrap_or_default();
    // one letter for each contact and address: asked for again after a follow-on, it goes again
    let parts: [&[u8]; 2] = [&contact.id.0.to_be_bytes(), to.as_bytes()];
    let message = MessageId(chat.ids.make("chat-transcript", &parts));
    let command = Command {
        id: CommandId(chat.ids.make("chat-transcript-command", &parts)),
        actor: Actor { operator: None, authority: Authority::Any },
        expected_version: None,
        body: CommandBody::Copy {
            administration: session.administration.clone(),
            contact: contact.id,
            conversation,
            queue: contact.queue.clone(),
            account,
            message,
        },
    };
    let words = Words::of(session.language);
    let text = CommandText::Reply {
        text: written(words, session, &view.messages, &names),
        subject: Some(format!("{} – {body_name}", words.subject)),
        to: Some(Party { address: to.clone(), name: Some(session.name.clone()) }),
        cc: Vec::new(),
        attachments: Vec::new(),
    };
    let envelope = CommandEnvelope { command, text: Some(text), traceparent: None };
    match chat.commands.send(&pool, envelope).await {
        Ok(Reply::Applied { .. } | Reply::Duplicate) => {}
        Ok(Reply::Refused { code }) => tracing::warn!(%code, "a transcript was refused"),
        Err(error) => return Err(error.to_string()),
    }
    done(chat, session).await
}

async fn done(chat: &Shared, session: &ChatSession) -> Result<(), String> {
    let sent = ChatChange::TranscriptSent(session.transcript_to.clone().unwrap_or_default());
    chat.chats.change_chat(&session.administration, session.id, sent).await.map_err(|error| error.to_string())
}

/// What a transcript says beside the messages.
#[derive(Clone, Copy)]
struct Words {
    subject: &'static str,
    office: &'static str,
    files: &'static str,
    cut: &'static str,
}

impl Words {
    fn of(language: Option<Language>) -> Self {
        match language.as_ref().map(Language::as_str) {
            Some("de") => Self { subject: "Ihr Chat", office: "Amt", files: "Dateien", cut: "… gekürzt …" },
            Some("en") => Self { subject: "Your chat", office: "Office", files: "files", cut: "… shortened …" },
            Some("fr") => Self { subject: "Votre conversation", office: "Bureau", files: "fichiers", cut: "… abrégé …" },
            Some("sl") => Self { subject: "Vaš klepet", office: "Urad", files: "datoteke", cut: "… skrajšano …" },
            _ => Self { subject: "La sua chat", office: "Ufficio", files: "file", cut: "… abbreviato …" },
        }
    }
}

/// The messages as plain text, oldest first.
fn written(words: Words, session: &ChatSession, messages: &[Message], names: &[Option<String>]) -> String {
    let mut lines = Vec::new();
    for (message, name) in messages.iter().zip(names).filter(|(message, _)| message.channel.is_session()) {
        let who = match message.direction {
            Direction::Inbound => session.name.as_str(),
            Direction::Outbound => name.as_deref().unwrap_or(words.office),
        };
        let mut line = format!("[{}] {who}: {}", message.at, message.text);
        if !message.attachments.is_empty() {
            let files: Vec<&str> = message.attachments.iter().map(|file| file.name.as_str()).collect();
            let _infallible = write!(line, "\n({}: {})", words.files, files.join(", "));
        }
        lines.push(line);
    }
    let mut size: usize = lines.iter().map(|line| line.len() + 2).sum();
    let mut is_cut = false;
    while size > TEXT_BYTES_MAX && lines.len() > 2 {
        size -= lines.remove(lines.len() / 2).len() + 2;
        is_cut = true;
    }
    if is_cut {
        lines.insert(lines.len() / 2, words.cut.to_owned());
    }
    lines.join("\n\n")
}
