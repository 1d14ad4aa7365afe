//! `sportello healthcheck`: asks a running process whether it is ready. For containers and monitors; needs no HTTP client
//! beside this one.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::settings::SettingsArgs;

const EXAMPLES: &str = "\
Examples:
  sportello healthcheck
  sportello healthcheck --address 127.0.0.1:9464 --live

Asks /readyz of the metrics listener of the settings, or of --address. Exit code 0: ready; 1: not
ready, or nobody answers.";

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// `healthcheck`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct HealthcheckArgs {
    /// Where the process answers; without, metrics.listen of the settings
    #[arg(long, value_name = "ADDRESS:PORT", env = "SPORTELLO_HEALTHCHECK_ADDRESS")]
    pub address: Option<SocketAddr>,
    /// Ask whether it is alive (/livez) instead of whether it is ready
    #[arg(long)]
    pub live: bool,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub timeout: u64,
}

/// Runs `healthcheck`.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this command's work is to print")]
pub async fn run(settings: &SettingsArgs, args: &HealthcheckArgs) -> ExitCode {
    match ask(settings, args).await {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::from(super::EXIT_OK)
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(super::EXIT_FAILURE)
        }
    }
}

async fn ask(settings: &SettingsArgs, args: &HealthcheckArgs) -> anyhow::Result<String> {
    let address = match args.address {
        Some(address) => address,
        None => listener(settings)?,
    };
    let path = if args.live { "/livez" } else { "/readyz" };
    let answer = tokio::time::timeout(Duration::from_secs(args.timeout), get(address, path)).await;
    let (status, body) = answer.map_err(|_| anyhow!("no answer from {address} within {} s", args.timeout))??;
    ensure!(status == 200, "{address} says {status}: {body}");
    Ok(body)
}

/// Where the settings say that the process answers. An address for all interfaces is asked on loopback.
fn listener(settings: &SettingsArgs) -> anyhow::Result<SocketAddr> {
    let settings = settings.load(Vec::new()).map_err(|problems| {
        anyhow!("the settings are not in order: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    let Some(mut address) = settings.metrics.listen else { bail!("metrics.listen is empty, so there is nobody to ask") };
    ensure!(address.port() != 0, "metrics.listen has port 0: name the real one with --address");
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    Ok(address)
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("nobody answers at {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("the question could not be sent")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.context("the answer could not be read")?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow!("{address} does not speak HTTP"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| anyhow!("{address} does not speak HTTP"))?;
    Ok((status, body.trim().to_owned()))
}
