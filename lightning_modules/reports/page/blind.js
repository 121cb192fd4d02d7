// The blind test. While it runs, the report is taken out of the document: no label can be read from the page.
const blindTest = JSON.parse(document.getElementById("blind-test").textContent);
document.getElementById("blind-test").remove();

const LETTERS = "ABCDEFGHIJKLM";
const SCALE = ["Bad", "Poor", "Fair", "Good", "Excellent"];

// A small generator of random numbers (mulberry32), so that a session can be repeated by its number.
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, random) {
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
  }
  return mixed;
}

class Session {
  constructor(trials, options) {
    const random = randomNumbers(options.seed);
    this.options = options;
    this.trials = shuffled(trials, random).map((trial) => ({
      ...trial, stimuli: shuffled(trial.stimuli, random), choice: null, ratings: {}, plays: {},
    }));
  }

  // Answers with what was hidden, as they are saved.
  answers() {
    return {
      format: 1,
      report: blindTest.report,
      session: this.options.seed,
      question: this.options.question,
      equal_loudness: this.options.level,
      trials: this.trials.filter((trial) => trial.choice !== null).map((trial) => ({
        kind: trial.kind,
        clip: trial.clip,
        order: Object.fromEntries(trial.stimuli.map((stimulus, index) => [LETTERS[index], stimulus.system])),
        choice: trial.choice || null,
        chosen: trial.choice ? trial.stimuli[LETTERS.indexOf(trial.choice)].system : null,
        ratings: trial.ratings,
        plays: trial.plays,
      })),
    };
  }

  // For each system: how often it was there, was chosen, would be chosen by chance, and its ratings.
  summary() {
    const rows = new Map();
    for (const trial of this.trials.filter((one) => one.choice !== null)) {
      trial.stimuli.forEach((stimulus, index) => {
        const row = rows.get(stimulus.system) ?? { heard: 0, chosen: 0, chance: 0, ratings: [] };
        row.heard += 1;
        row.chosen += trial.choice === LETTERS[index];
        row.chance += trial.choice ? 1 / trial.stimuli.length : 0;
        if (trial.ratings[LETTERS[index]]) row.ratings.push(trial.ratings[LETTERS[index]]);
        rows.set(stimulus.system, row);
      });
    }
    return rows;
  }
}

class BlindTest {
  constructor() {
    this.report = document.getElementById("report");
    this.title = document.title;
    this.page = null;
    this.sounds = [];
    this.current = 0;
    document.addEventListener("keydown", (event) => this.key(event));
  }

  show(templateId) {
    this.silence();
    const page = document.getElementById(templateId).content.firstElementChild.cloneNode(true);
    (this.page ?? this.report).replaceWith(page);
    this.page = page;
    document.title = "Blind listening test";
    scrollTo(0, 0);
    page.focus();
    return (selector) => page.querySelector(selector);
  }

  leave() {
    this.silence();
    this.page.replaceWith(this.report);
    this.page = null;
    this.trial = null;
    document.title = this.title;
    document.querySelector("[data-open-blind]").focus();
  }

  setup() {
    Player.playing?.audio.pause();
    const find = this.show("blind-setup");
    const form = find("form");
    const kinds = new Set(blindTest.trials.map((trial) => trial.kind));
    if (kinds.size < 2) {
      find("[data-kinds]").remove();
    }
    form.elements.seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
    const chosen = () => {
      const kind = form.elements.kind?.value ?? "all";
      return blindTest.trials.filter((trial) => kind === "all" || trial.kind === kind);
    };
    const count = () => { find("[data-count]").textContent = `(${chosen().length} ${chosen().length === 1 ? "trial" : "trials"})`; };
    form.addEventListener("change", count);
    count();
    find("[data-leave]").addEventListener("click", () => this.leave());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { seed, question, level } = form.elements;
      const options = { seed: Number(seed.value), question: question.value, level: level.checked };
      this.session = new Session(chosen(), options);
      this.open(0);
    });
  }

  open(number) {
    this.number = number;
    this.trial = this.session.trials[number];
    const total = this.session.trials.length;
    const find = this.show("blind-trial");
    this.current = 0;
    find("[data-progress-text]").textContent = `Trial ${number + 1} of ${total}`;
    find("[data-progress]").max = total;
    find("[data-progress]").value = number + 1;
    find("[data-question]").textContent = this.session.options.question;
    this.sounds = this.load(this.trial);
    find("[data-stimuli]").append(...this.sounds.map((sound, index) => this.stimulus(sound, index)));
    for (const radio of this.page.querySelectorAll("input[name=choice]")) {
      radio.checked = radio.value === this.trial.choice;
      radio.addEventListener("change", () => this.choose(radio.value));
    }
    find("[data-back]").disabled = number === 0;
    find("[data-back]").addEventListener("click", () => this.open(number - 1));
    find("[data-next]").addEventListener("click", () => this.next());
    find("[data-finish]").addEventListener("click", () => this.finish());
    find("[data-next]").disabled = this.trial.choice === null;
  }

  // Of each sound the middle is heard, as long as the shortest of the trial: length must give nothing away,
  // nor the silence before a piece begins, nor, if wished, loudness.
  load(trial) {
    const seconds = Math.min(...trial.stimuli.map((stimulus) => players.get(stimulus.track).seconds));
    const quietest = Math.max(Math.min(...trial.stimuli.map((stimulus) => stimulus.level_db)), -60);
    return trial.stimuli.map((stimulus) => {
      const player = players.get(stimulus.track);
      const start = (player.seconds - seconds) / 2;
      const audio = new Audio(player.audio.src);
      audio.currentTime = start;
      audio.preload = "auto";
      if (this.session.options.level) audio.volume = Math.min(1, 10 ** ((quietest - stimulus.level_db) / 20));
      return { audio, seconds, start };
    });
  }

  stimulus(sound, index) {
    const section = document.getElementById("blind-stimulus").content.firstElementChild.cloneNode(true);
    const letter = LETTERS[index];
    const button = section.querySelector(".letter");
    button.textContent = letter;
    button.setAttribute("aria-label", `Listen to ${letter}`);
    button.addEventListener("click", () => this.listen(index));
    sound.section = section;
    sound.bar = section.querySelector(".position span");
    for (const name of ["play", "pause"]) sound.audio.addEventListener(name, () => this.mark());
    const radio = section.querySelector(".choose input");
    radio.value = letter;
    radio.setAttribute("aria-label", `Choose ${letter}`);
    SCALE.forEach((word, rank) => {
      const label = document.createElement("label");
      const input = document.createElement("input");
      Object.assign(input, { type: "radio", name: `rating-${letter}`, value: String(rank + 1) });
      input.checked = this.trial.ratings[letter] === rank + 1;
      input.setAttribute("aria-label", `${letter}: ${rank + 1}, ${word}`);
      input.addEventListener("change", () => this.rate(index, rank + 1));
      const face = document.createElement("span");
      face.textContent = String(rank + 1);
      face.title = word;
      label.append(input, face);
      section.querySelector(".rating").append(label);
    });
    return section;
  }

  listen(index) {
    const sound = this.sounds[index];
    const playing = this.sounds.find((other) => !other.audio.paused);
    if (playing === sound) {
      sound.audio.pause();
      return;
    }
    if (playing) {
      sound.audio.currentTime = sound.start + playing.audio.currentTime - playing.start;
      playing.audio.pause();
    }
    this.current = index;
    this.trial.plays[LETTERS[index]] = (this.trial.plays[LETTERS[index]] ?? 0) + 1;
    sound.audio.play().catch(() => {}); // a quick pause is no error
    this.follow(sound);
  }

  follow(sound) {
    if (sound.audio.currentTime >= sound.start + sound.seconds - 0.02) {
      sound.audio.pause();
      sound.audio.currentTime = sound.start;
    }
    const share = (sound.audio.currentTime - sound.start) / sound.seconds;
    sound.bar.style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
    if (!sound.audio.paused) setTimeout(() => this.follow(sound), 30);
  }

  mark() {
    this.sounds.forEach((sound, index) => {
      sound.section.classList.toggle("current", index === this.current);
      const button = sound.section.querySelector(".letter");
      button.setAttribute("aria-pressed", String(!sound.audio.paused));
      if (index !== this.current) sound.bar.style.width = "0";
    });
  }

  choose(letter) {
    this.trial.choice = letter;
    for (const radio of this.page.querySelectorAll("input[name=choice]")) radio.checked = radio.value === letter;
    this.page.querySelector("[data-next]").disabled = false;
  }

  rate(index, rank) {
    const letter = LETTERS[index];
    this.trial.ratings[letter] = rank;
    this.page.querySelector(`input[name="rating-${letter}"][value="${rank}"]`).checked = true;
  }

  next() {
    if (this.trial.choice === null) return;
    if (this.number + 1 < this.session.trials.length) this.open(this.number + 1);
    else this.finish();
  }

  finish() {
    this.trial = null;
    const find = this.show("blind-result");
    const answered = this.session.trials.filter((trial) => trial.choice !== null).length;
    find("[data-headline]").textContent = `${answered} of ${this.session.trials.length} trials answered`;
    find("[data-question]").textContent = this.session.options.question;
    const number = (value) => String(Math.round(value * 10) / 10);
    const rows = [...this.session.summary()].sort((one, other) => other[1].chosen - one[1].chosen);
    for (const [system, row] of rows) {
      const line = find("tbody").insertRow();
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = system;
      line.append(name);
      const mean = row.ratings.reduce((sum, rank) => sum + rank, 0) / row.ratings.length;
      for (const text of [`${row.chosen} of ${row.heard}`, number(row.chance), row.ratings.length ? number(mean) : "–"]) {
        const cell = line.insertCell();
        cell.className = "number";
        cell.textContent = text;
      }
    }
    if (!answered) find(".table").remove();
    find("[data-save]").disabled = !answered;
    find("[data-save]").addEventListener("click", () => this.save());
    find("[data-again]").addEventListener("click", () => this.setup());
    find("[data-leave]").addEventListener("click", () => this.leave());
  }

  save() {
    const text = JSON.stringify(this.session.answers(), null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `blind-test-${blindTest.report}-${this.session.options.seed}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  silence() {
    for (const sound of this.sounds) sound.audio.pause();
    this.sounds = [];
  }

  key(event) {
    if (!this.trial || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    const letter = LETTERS.indexOf(key);
    const onControl = event.target.closest("button, input");
    if (key.length === 1 && letter >= 0 && letter < this.sounds.length) this.listen(letter);
    else if ("12345".includes(key)) this.rate(this.current, Number(key));
    else if (key === "0") this.choose("");
    else if (key === "P") this.choose(LETTERS[this.current]);
    else if (key === "N") this.next();
    else if (key === " " && !onControl) this.listen(this.current);
    else return;
    event.preventDefault();
  }
}

const blind = new BlindTest();
document.querySelector("[data-open-blind]")?.addEventListener("click", () => blind.setup());
