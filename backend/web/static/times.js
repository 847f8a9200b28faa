// Times in the reader's own zone, with the zone named. Without this script they stand in China time.
window.localiseTimes = (root) => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || zone === "Asia/Shanghai") return;
  const tongue = document.documentElement.lang;
  const parts = new Intl.DateTimeFormat(tongue === "en" ? "en-GB" : tongue, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
    hourCycle: "h23",
  });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) continue;
    time.title = time.title || time.textContent;
    time.textContent = parts.format(moment);
  }
};
window.localiseTimes(document);
