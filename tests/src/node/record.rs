//! What a watched node printed, and what it shows.

use serde_json::Value;

/// What kubelet said of its pods at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since the node was started.
    pub second: u64,
    /// Whether the one pod is there and its container runs.
    pub is_running: bool,
    /// How many pods kubelet knows.
    pub pods: usize,
    /// How often the container was started again.
    pub restarts: u64,
    /// The container's id.
    pub container: String,
}

/// A process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Seconds since the node was started.
    pub second: u64,
    /// Its name.
    pub name: String,
    /// Resident memory in kB.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// All that was printed for the test to read.
#[derive(Debug, Default)]
pub struct Record {
    /// The failures: stage and message.
    pub stages: Vec<(String, String)>,
    /// What was done to the pod: second and event.
    pub events: Vec<(u64, String)>,
    /// The samples of the pod.
    pub samples: Vec<Sample>,
    /// The samples of the processes.
    pub processes: Vec<Process>,
}

impl Record {
    /// Reads the lines that start with `@`.
    ///
    /// # Panics
    /// When one of them is not what the scripts print.
    pub fn read(output: &str) -> Self {
        let mut record = Self::default();
        for line in output.lines().filter_map(|l| l.strip_prefix('@')) {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let second = || first.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            match kind {
                "stage" => record.stages.push((first.to_owned(), rest.to_owned())),
                "event" => record.events.push((second(), rest.to_owned())),
                "pods" => record.samples.push(sample(second(), rest)),
                "process" => record.processes.push(process(second(), rest)),
                _ => panic!("{line}: not known"),
            }
        }
        record
    }

    /// The second of an event.
    ///
    /// # Panics
    /// When it did not happen.
    pub fn second(&self, event: &str) -> u64 {
        let found = self.events.iter().find(|(_, e)| e == event);
        found.unwrap_or_else(|| panic!("no {event:?} in {:?}", self.events)).0
    }

    /// The samples from one second up to another.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |s| (from..to).contains(&s.second))
    }

    /// Medians of memory and descriptors of a process in a span of seconds.
    ///
    /// # Panics
    /// When there is no sample in it.
    pub fn medians(&self, name: &str, from: u64, to: u64) -> (u64, u64) {
        let within =
            || self.processes.iter().filter(|p| p.name == name && (from..to).contains(&p.second));
        (median(within().map(|p| p.memory)), median(within().map(|p| p.descriptors)))
    }
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    *numbers.get(numbers.len() / 2).expect("no samples in that span")
}

fn sample(second: u64, text: &str) -> Sample {
    // Nothing at all when kubelet did not answer: then no pod is running either.
    let pods: Value = serde_json::from_str(text).unwrap_or_default();
    let items = pods["items"].as_array().map_or(&[][..], Vec::as_slice);
    let pod = items.first().unwrap_or(&Value::Null);
    let container = &pod["status"]["containerStatuses"][0];
    Sample {
        second,
        is_running: pod["status"]["phase"] == "Running"
            && container["ready"] == true
            && container["state"]["running"].is_object(),
        pods: items.len(),
        restarts: container["restartCount"].as_u64().unwrap_or(0),
        container: container["containerID"].as_str().unwrap_or_default().to_owned(),
    }
}

fn process(second: u64, text: &str) -> Process {
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let mut number =
        || words.next().and_then(|w| w.parse().ok()).unwrap_or_else(|| panic!("@process {text}"));
    let (memory, descriptors) = (number(), number());
    Process { second, name, memory, descriptors }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = r#"something else
@stage b1 failed to run Kubelet: open /dev/kmsg: no such file or directory
@event 7 running
@pods 8 {"kind":"PodList","items":[{"status":{"phase":"Running","containerStatuses":[{"ready":true,"restartCount":2,"state":{"running":{}},"containerID":"containerd://a"}]}}]}
@process 8 kubelet 139000 31
@pods 13 {"kind":"PodList","items":null}
@pods 18
@process 18 kubelet 141000 33
@event 18 done
"#;

    #[test]
    fn lines_are_read() {
        let record = Record::read(OUTPUT);
        assert_eq!(record.stages[0].0, "b1");
        assert_eq!((record.second("running"), record.second("done")), (7, 18));
        let [one, two, three] = &record.samples[..] else { panic!("{record:?}") };
        assert!(one.is_running && one.restarts == 2 && one.container == "containerd://a");
        assert!(!two.is_running && two.pods == 0 && !three.is_running);
        assert_eq!(record.between(8, 18).count(), 2);
        assert_eq!(record.medians("kubelet", 0, 18), (139_000, 31));
    }
}
