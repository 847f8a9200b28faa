// Times in the reader's own zone, with the zone named. Without this script they stand in China time.
window.localiseTimes = (root) => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || zone === "Asia/Shanghai") return;
  const parts = new Intl.DateTimeFormat("en-GB", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) continue;
    const part = Object.fromEntries(parts.formatToParts(moment).map((p) => [p.type, p.value]));
    time.title = time.title || time.textContent;
    time.textContent = `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute} ${part.timeZoneName}`;
  }
};
window.localiseTimes(document);
