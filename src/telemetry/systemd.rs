//! What systemd is told (`Type=notify`). Without `NOTIFY_SOCKET` nothing is
//! sent: the same binary runs in a terminal and under other supervisors.

use std::time::Duration;

use sd_notify::NotifyState;

use super::visible;

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// The first scan is done and the ledger stands; `text` is the STATUS= line.
pub fn ready(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(text))]);
}

/// STATUS= in words.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(&one_line(text))]);
}

/// SIGHUP is being obeyed; [`ready`] ends it.
pub fn reloading() {
    // systemd from version 253 on insists on the time (Type=notify-reload).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon drains and ends.
pub fn stopping(text: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&one_line(text))]);
}

/// Every stage has answered within its deadline.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is due: half of what systemd waits (sd_watchdog_enabled(3)
/// advises it). `None`: nobody waits.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|wait| wait / 2)
}

/// A second line would be a second message.
fn one_line(text: &str) -> String {
    visible(text).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::net::UnixDatagram;

    use super::*;

    const INNER: &str = "BEIAN_TEST_NOTIFY";

    /// The socket's name is in the environment, which only a process of its
    /// own may change: the test starts itself.
    #[test]
    fn systemd_hears_each_state_in_words() {
        if std::env::var_os(INNER).is_some() {
            ready("20 sites\nREADY=0");
            status("scanning");
            reloading();
            alive();
            stopping("draining");
            assert_eq!(watchdog_interval(), Some(Duration::from_secs(15)));
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "telemetry::systemd::tests::systemd_hears_each_state_in_words"])
            .env(INNER, "1")
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "30000000")
            .env_remove("WATCHDOG_PID")
            .output()
            .unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
        let mut heard = Vec::new();
        let mut buf = [0; 4096];
        for _ in 0..5 {
            let n = socket.recv(&mut buf).unwrap();
            heard.push(String::from_utf8(buf[..n].to_vec()).unwrap());
        }
        assert_eq!(heard[0], "READY=1\nSTATUS=20 sites\\u{a}READY=0\n");
        assert_eq!(heard[1], "STATUS=scanning\n");
        assert!(heard[2].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{}", heard[2]);
        assert_eq!(heard[3], "WATCHDOG=1\n");
        assert_eq!(heard[4], "STOPPING=1\nSTATUS=draining\n");
    }
}
