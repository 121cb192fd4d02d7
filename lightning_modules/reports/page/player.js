"use strict";
// Players: one sounds at a time, a picture shows and sets the place, players of one card share it.
document.documentElement.classList.add("js");

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

class Player {
  static playing = null;

  constructor(figure) {
    this.audio = figure.querySelector("audio");
    this.button = figure.querySelector(".play");
    this.picture = figure.querySelector(".picture");
    this.time = figure.querySelector("[data-clock]");
    this.seconds = Number(figure.dataset.seconds);
    this.card = figure.closest("[data-card]");
    this.cursors = [figure.querySelector("[data-cursor]"), ...this.card.querySelectorAll(".roll [data-cursor]")];
    this.name = this.button.getAttribute("aria-label").replace(/^Play /, "");
    this.audio.controls = false;
    this.button.addEventListener("click", () => this.toggle());
    this.picture.addEventListener("pointerdown", (event) => this.drag(event));
    this.picture.addEventListener("keydown", (event) => this.key(event));
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.show());
    this.audio.addEventListener("timeupdate", () => this.draw());
  }

  toggle() {
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  play() {
    const other = Player.playing;
    if (other && other !== this) {
      const together = other.card === this.card && !other.audio.paused && Math.abs(other.seconds - this.seconds) < 0.1;
      if (together) this.audio.currentTime = other.audio.currentTime;
      other.audio.pause();
    }
    Player.playing = this;
    this.audio.play().catch(() => {}); // a quick pause is no error
    this.frame();
  }

  frame() {
    this.draw();
    if (!this.audio.paused) requestAnimationFrame(() => this.frame());
  }

  seek(seconds) {
    this.audio.currentTime = Math.min(Math.max(seconds, 0), this.seconds - 0.01);
    this.draw();
  }

  drag(event) {
    const box = this.picture.getBoundingClientRect();
    const follow = (moved) => this.seek(((moved.clientX - box.left) / box.width) * this.seconds);
    const stop = () => {
      this.picture.removeEventListener("pointermove", follow);
      this.picture.removeEventListener("pointerup", stop);
      this.picture.removeEventListener("pointercancel", stop);
    };
    follow(event);
    if (event.pointerType === "mouse") this.picture.setPointerCapture(event.pointerId);
    this.picture.addEventListener("pointermove", follow);
    this.picture.addEventListener("pointerup", stop);
    this.picture.addEventListener("pointercancel", stop);
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -5, PageUp: 5 }[event.key];
    if (move) this.seek(this.audio.currentTime + move);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.seconds);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
  }

  draw() {
    const share = this.audio.currentTime / this.seconds;
    for (const cursor of this.cursors) cursor.style.left = `${100 * Math.min(share, 1)}%`;
    this.time.textContent = `${clock(this.audio.currentTime)} / ${clock(this.seconds)}`;
    this.picture.setAttribute("aria-valuenow", this.audio.currentTime.toFixed(1));
    this.picture.setAttribute("aria-valuetext", this.time.textContent);
  }

  show() {
    const sounding = !this.audio.paused && !this.audio.ended;
    this.button.classList.toggle("sounding", sounding);
    this.button.setAttribute("aria-label", `${sounding ? "Pause" : "Play"} ${this.name}`);
  }
}

const players = new Map();
for (const figure of document.querySelectorAll(".track")) players.set(figure.dataset.track, new Player(figure));

document.querySelector("[data-theme-button]").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
