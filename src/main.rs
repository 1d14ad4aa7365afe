//! `sportello`: parses the command line, does what it says, ends with its exit code.

use std::process::ExitCode;
use std::time::Duration;

/// Gives back what is freed. The system's allocator keeps the 19 MiB of each password hash in one arena per thread.
/// Without huge pages (a feature of its crate), which would double what a quiet process holds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long work on threads of its own is waited for at the end: hashing, files, looking up names.
const LAST_WAIT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = match sportello::cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if let Some(code) = sportello::cli::run_alone(&cli) {
        return code;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(sportello::cli::run(cli));
            // a name that is looked up at a server which does not answer holds nobody up
            runtime.shutdown_timeout(LAST_WAIT);
            code
        }
        Err(error) => {
            eprintln!("sportello: the runtime cannot start: {error}");
            ExitCode::from(sportello::cli::EXIT_FAILURE)
        }
    }
}
