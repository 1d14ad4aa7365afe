//! A private Dovecot: own folder, own configuration, free ports, one user `urp` with the password `segreta`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A running Dovecot; dropping it stops it.
pub struct Dovecot {
    pub port: u16,
    pub tls_port: u16,
    pub certificate: PathBuf,
    folder: tempfile::TempDir,
    child: Option<Child>,
    mail_user: u32,
    mail_group: u32,
    delivered: std::cell::Cell<u32>,
}

/// Ports that nobody uses now, both held until both are known.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

impl Dovecot {
    /// Starts it and waits until it greets.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("dovecot").tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        // As root, mail belongs to the system's user `mail`: Dovecot refuses to serve root's.
        let (mail_user, mail_group) = if own.0 == 0 { (8, 8) } else { own };
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = folder.path().join("cert.pem");
        std::fs::write(&certificate, key.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        let child = None;
        let delivered = std::cell::Cell::new(0);
        let [port, tls_port] = free_ports();
        let mut server = Self { port, tls_port, certificate, folder, child, mail_user, mail_group, delivered };
        for part in ["home", "home/Maildir", "home/Maildir/new", "home/Maildir/cur", "home/Maildir/tmp"] {
            let path = server.folder.path().join(part);
            std::fs::create_dir(&path).unwrap();
            chown(&path, Some(mail_user), Some(mail_group)).unwrap();
        }
        server.configure(own.0 == 0);
        server.up();
        server
    }

    fn configure(&self, is_root: bool) {
        let folder = self.folder.path().display();
        let users = match is_root {
            true => "default_login_user = dovenull\ndefault_internal_user = dovecot\n".to_owned(),
            false => {
                let user = std::env::var("USER").unwrap();
                format!("default_login_user = {user}\ndefault_internal_user = {user}\ndefault_internal_group = {user}\n")
            }
        };
        let (port, tls_port, user, group) = (self.port, self.tls_port, self.mail_user, self.mail_group);
        let configuration = format!(
            "protocols = imap
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
listen = 127.0.0.1
{users}first_valid_uid = 1
first_valid_gid = 1
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
mail_location = maildir:{folder}/home/Maildir
maildir_stat_dirs = yes
mailbox_idle_check_interval = 1 secs
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
passdb {{
  driver = static
  args = password=segreta
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home
}}
"
        );
        std::fs::write(self.folder.path().join("dovecot.conf"), configuration).unwrap();
    }

    /// Starts the process and waits for its greeting.
    pub fn up(&mut self) {
        let configuration = self.folder.path().join("dovecot.conf");
        let child = Command::new("/usr/sbin/dovecot").arg("-F").arg("-c").arg(configuration).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("dovecot-imapd is installed"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.greets() {
            assert!(Instant::now() < deadline, "dovecot did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn greets(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("* OK")
    }

    /// Stops the process.
    pub fn down(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(process) = rustix::process::Pid::from_raw(child.id().try_into().unwrap()) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        }
        let _ = child.wait();
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn maildir(&self) -> PathBuf {
        self.folder.path().join("home/Maildir")
    }

    /// Puts a mail into the INBOX, unread.
    pub fn deliver(&self, mail: &[u8]) {
        let number = self.delivered.get() + 1;
        self.delivered.set(number);
        let name = format!("{}.{number:05}.test", 1_790_000_000 + number);
        let draft = self.maildir().join("tmp").join(&name);
        std::fs::write(&draft, mail).unwrap();
        // Dovecot takes a file's time for INTERNALDATE.
        let arrived = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(1_790_000_000 + number));
        File::options().write(true).open(&draft).unwrap().set_modified(arrived).unwrap();
        chown(&draft, Some(self.mail_user), Some(self.mail_group)).unwrap();
        std::fs::rename(&draft, self.maildir().join("new").join(name)).unwrap();
    }

    /// How many mails are marked as read.
    pub fn read_count(&self) -> usize {
        let names = std::fs::read_dir(self.maildir().join("cur")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().rsplit_once(":2,").is_some_and(|(_, flags)| flags.contains('S'))).count()
    }

    /// Rebuilds the folder under another UIDVALIDITY. Stop it first.
    pub fn change_uid_validity(&self) {
        assert!(self.child.is_none(), "stop dovecot first");
        for entry in std::fs::read_dir(self.maildir()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("dovecot.index") || name.starts_with("dovecot.list") {
                std::fs::remove_file(&path).unwrap();
            }
            if name == "dovecot-uidlist" {
                self.rewrite_uid_list(&path);
            }
        }
    }

    fn rewrite_uid_list(&self, path: &Path) {
        let list = std::fs::read_to_string(path).unwrap();
        let (head, rest) = list.split_once('\n').unwrap();
        let words: Vec<String> =
            head.split(' ').map(|word| if word.starts_with('V') { "V77".to_owned() } else { word.to_owned() }).collect();
        std::fs::write(path, format!("{}\n{rest}", words.join(" "))).unwrap();
        chown(path, Some(self.mail_user), Some(self.mail_group)).unwrap();
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.down();
    }
}
