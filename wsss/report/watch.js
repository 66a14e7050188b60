// Loads the page anew while the run goes on. The button stops that for whoever wants to read.
const button = document.querySelector("button[data-seconds]");
if (button) {
  const again = () => setTimeout(() => location.reload(), 1000 * button.dataset.seconds);
  let timer = again();
  button.addEventListener("click", () => {
    const held = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", held);
    clearTimeout(timer);
    if (!held) timer = again();
  });
}
