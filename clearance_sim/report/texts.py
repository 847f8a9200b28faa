"""Every word of the report, in English and Chinese, and how numbers are written in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LANGUAGES = ("en", "zh")
Json = Mapping[str, Any]

WORDS: dict[str, tuple[str, str]] = {
    # The whole
    "title": ("From {start:g} hours to {end:g}: does it hold?", "从 {start:g} 小时到 {end:g} 小时：站得住脚吗？"),
    "made": (
        "Provenport {version} · seed {seed} · {replications:,} replications × {declarations:,} declarations an arm",
        "Provenport {version} · 种子 {seed} · 每方案 {replications:,} 次重复 × {declarations:,} 票",
    ),
    "quick": ("quick run, not for citation", "快速试算，不宜引用"),
    "contents": ("Contents", "目录"),
    "figure": ("Figure {number}. {title}", "图 {number}　{title}"),
    "table": ("Table {number}. {title}", "表 {number}　{title}"),
    "page": ("Page {number}", "第 {number} 页"),
    "because": ("Why", "理由"),
    "none": ("–", "–"),
    "sep": ("; ", "；"),
    "stop": (". ", "。"),
    "between_sentences": (" ", ""),
    # Verdicts
    "verdict": ("Verdict", "结论"),
    "outcome.holds": ("It holds", "成立"),
    "outcome.holds as median": ("It holds for the median only", "仅就中位数成立"),
    "outcome.does not hold": ("It does not hold", "不成立"),
    "outcome.indeterminate": ("Cannot tell", "无法判断"),
    "verdict.parts": ("In full", "完整表述"),
    "by_clock": ("By the clock {clock}", "按“{clock}”计时"),
    "not_defensible": (
        "{start:g} hours is no defensible starting point in this setting; the comparison is shown for completeness.",
        "在此情形下，{start:g} 小时并不是站得住脚的起点；列出比较仅为完整起见。",
    ),
    # Quantities
    "mean": ("mean", "平均"),
    "median": ("median", "中位数"),
    "p90": ("P90", "P90"),
    "p95": ("P95", "P95"),
    "within": ("within {hours:g} h", "{hours:g} 小时内"),
    "hours": ("hours", "小时"),
    "h": ("h", "小时"),
    "share": ("share", "占比"),
    "share_released": ("share released", "已放行占比"),
    "arm": ("arm", "方案"),
    "clock": ("clock", "计时口径"),
    "channel": ("channel", "通道"),
    "stage": ("stage", "环节"),
    "owner": ("responsible", "责任方"),
    "lever": ("lever", "改革措施"),
    "interval": (
        "[ ] 95 % interval over replications.",
        "[ ] 内为各次重复所得 95% 置信区间。",
    ),
    "clock.arrival → release": ("arrival → release", "到达→放行"),
    "clock.lodgement → release": ("lodgement → release", "申报→放行"),
    "clock.arrival → lodgement": ("arrival → lodgement", "到达→申报"),
    "clock.release → gate-out": ("release → gate-out", "放行→提离"),
    "channel.green": ("green", "绿色通道"),
    "channel.yellow": ("yellow", "黄色通道"),
    "channel.red": ("red", "红色通道"),
    "owner.trader": ("trader", "企业"),
    "owner.port": ("port", "港口"),
    "owner.customs": ("customs", "海关"),
    "owner.agency": ("other agency", "其他监管机构"),
    "owner.system": ("system", "信息系统"),
    "station.voyage": ("voyage", "海上运输"),
    "station.early filing": ("early filing", "提前申报"),
    "station.unloading": ("unloading", "卸货入场"),
    "station.documents": ("documents made ready", "单证备齐"),
    "station.lodgement": ("lodgement", "申报"),
    "station.acceptance": ("acceptance", "受理"),
    "station.automatic acceptance": ("automatic acceptance", "自动受理"),
    "station.verification": ("verification of records", "记录核验"),
    "station.fall-back": ("fall-back to paper", "转纸面办理"),
    "station.in-tray": ("in-tray", "待审"),
    "station.document check": ("document check", "单证审核"),
    "station.query": ("query to the trader", "质疑与补充"),
    "station.booking": ("booking of the examination", "预约查验"),
    "station.examination": ("examination", "查验"),
    "station.laboratory": ("laboratory", "实验室检测"),
    "station.duty payment": ("duty payment", "缴税"),
    "station.release by hand": ("release by hand", "人工放行"),
    "station.automatic release": ("automatic release", "自动放行"),
    "owner.bank": ("bank", "银行"),
    "arm.paper": ("paper", "纸面办理"),
    "arm.edi": ("electronic, no ledger", "电子化（无账本）"),
    "arm.ledger": ("electronic with ledger", "电子化＋账本"),
    "arm.edi-reformed": ("all reforms, no ledger", "全部改革（无账本）"),
    "arm.ledger-reformed": ("all reforms with ledger", "全部改革＋账本"),
    # Sections
    "section.time": ("How long it takes", "需要多长时间"),
    "section.stages": ("Where the time goes", "时间花在哪里"),
    "section.causes": ("What saves the time", "时间是怎样省下来的"),
    "section.conditions": ("Under which conditions", "在什么条件下"),
    "section.load": ("When it gets busy", "繁忙时怎样"),
    "section.sensitivity": ("Which assumptions carry the result", "哪些假设决定结果"),
    "section.others": ("Other settings", "其他情形"),
    "section.validation": ("Checked against published studies", "与已公布研究对照"),
    "section.measured": ("Measured, not assumed", "实测数据"),
    "section.method": ("Method, limits, and how to repeat it", "方法、局限与复现"),
    # Distributions
    "ecdf.title": (
        "Share of consignments released, by hours since the clock started",
        "自起算时刻起各时长内已放行的占比",
    ),
    "ecdf.first": ("Share released by hours since arrival", "自到达起各时长内已放行的占比"),
    "ecdf.alt": (
        "Curves of the share released against time. By {hours:g} hours after arrival: {list}.",
        "已放行占比随时间变化的曲线。到达后 {hours:g} 小时内：{list}。",
    ),
    "ecdf.note": (
        "The same clock for every arm. Lines at {end:g} and {start:g} hours; where a curve meets them is the share "
        "released by then. Hours on a logarithmic scale.",
        "各方案采用同一计时口径。竖线为 {end:g} 与 {start:g} 小时；曲线与竖线相交处即届时已放行的占比。"
        "横轴为对数刻度。",
    ),
    "times.caption": ("Time to release by arm and clock", "各方案、各计时口径的放行时间"),
    "channels.caption": (
        "Arrival → release by channel: no average is a promise to a single consignment",
        "按通道的到达→放行时间：平均值不是对单票货物的承诺",
    ),
    # Stages
    "stages.title": ("Mean hours a consignment spends in each stage", "每票货物在各环节的平均小时数"),
    "stages.alt": (
        "Stacked bars, one an arm, of mean hours in each stage. Longest stages: {list}.",
        "各方案按环节堆叠的平均小时数。耗时最多的环节：{list}。",
    ),
    "stages.note": (
        "Stages may overlap, so that a bar can be longer than the mean time to release.",
        "各环节可能重叠，因此条形总长可能大于平均放行时间。",
    ),
    "stages.caption": ("Mean hours in each stage", "各环节平均小时数"),
    # Attribution
    "shapley.title": ("Hours saved by each lever: Shapley value", "各项措施节省的小时数（沙普利值）"),
    "shapley.alt": (
        "Bars of the mean hours that each lever saves. {list}.",
        "各项措施平均节省小时数的条形图。{list}。",
    ),
    "shapley.note": (
        "A lever's Shapley value is its saving averaged over all orders in which the levers may come. Whiskers: 95 % "
        "interval. ▷ saving if it comes first, ◁ if it comes last.",
        "沙普利值是该措施在所有可能先后次序下节省时间的平均。须线为 95% 置信区间。"
        "▷ 为最先采用时的节省，◁ 为最后采用时的节省。",
    ),
    "shapley.first_in": ("first in", "最先采用"),
    "shapley.last_in": ("last in", "最后采用"),
    "shapley.value": ("Shapley value", "沙普利值"),
    "shapley.percent": ("share of saving", "占节省比例"),
    "shapley.caption": (
        "Saving in {statistic}, {clock}: {baseline} to {all}",
        "{clock}{statistic}的节省：{baseline} 至 {all}",
    ),
    "ledger.title": ("The ledger's share of the saving, counted two ways", "账本在节省中的占比（两种算法）"),
    "ledger.direct": ("direct: what it does itself", "直接：其自身作用"),
    "ledger.enabled": ("enabled: credited with what it makes possible", "促成：计入其促成的部分"),
    "ledger.alt": ("Two bars: direct {direct}, enabled {enabled}.", "两个条形：直接 {direct}，促成 {enabled}。"),
    "ledger.credited": (
        "The second bar credits the ledger with {list}: an assumption, not a finding.",
        "第二个条形把{list}计入账本：这是假设，而非结论。",
    ),
    "ledger.of": ("{share} of {lever}", "{lever}的 {share}"),
    # Conditions
    "sets.caption": (
        "Fewest levers that bring the figure to {hours:g} hours (every combination was simulated)",
        "使该指标降至 {hours:g} 小时的最少措施组合（已模拟全部组合）",
    ),
    "sets.none": ("no combination does", "无任何组合可达"),
    "statistic": ("figure", "指标"),
    "sets": ("smallest combinations", "最小组合"),
    "levers.caption": ("The levers", "各项改革措施"),
    "frontier.title": ("Mean hours by how far two reforms go", "两项改革推进程度与平均小时数"),
    "frontier.alt": (
        "A map of mean hours over {x} and {y}; the line where it is {hours:g} hours is drawn where it occurs. {list}.",
        "以{x}和{y}为轴的平均小时数图；若出现 {hours:g} 小时等值线则画出。{list}。",
    ),
    "frontier.range": ("{slice}: {low} to {high} h", "{slice}：{low} 至 {high} 小时"),
    "frontier.note": (
        "Each cell carries its hours; cells at or below {hours:g} hours are framed.",
        "格中数字为小时数；不超过 {hours:g} 小时的格子加框。",
    ),
    "adoption.title": ("As more traders and issuers take part", "随着更多企业与签发机构加入"),
    "adoption.x": ("share taking part", "参与比例"),
    "adoption.alt": (
        "Lines of mean, median and P90 against the share taking part. {list}.",
        "平均、中位数和 P90 随参与比例变化的曲线。{list}。",
    ),
    "adoption.at": ("at {share} the mean is {hours}", "参与比例 {share} 时平均 {hours}"),
    "adoption.note": (
        "A consignment is traced only where all of its parties take part. Bands: 95 % interval.",
        "只有各方全部参与，货物才能被全程追溯。色带为 95% 置信区间。",
    ),
    # Load
    "congestion.title": ("Mean and P90 as more goods arrive with the same staff", "人手不变、货量增加时的平均值与 P90"),
    "congestion.x": ("goods arriving, today = 1", "到货量（现状＝1）"),
    "congestion.alt": (
        "Lines of mean hours against load for each arm. At the highest load, {load:g}: {list}.",
        "各方案平均小时数随货量变化的曲线。最大货量 {load:g} 时：{list}。",
    ),
    "congestion.note": (
        "Solid mark: mean. Hollow mark: P90. Bars: 95 % interval.",
        "实心标记为平均值，空心标记为 P90；须线为 95% 置信区间。",
    ),
    "week.title": (
        "Waiting and staff on duty by hour of the week: {station}",
        "一周各时段的等候票数与在岗人数：{station}",
    ),
    "week.alt": (
        "Step lines over a week from Monday. Longest mean queue: {list}.",
        "自周一起一周的阶梯线。平均最长队列：{list}。",
    ),
    "week.queue": ("waiting", "等候票数"),
    "week.staff": ("on duty", "在岗人数"),
    "week.staff_of": ("on duty, {arm}", "在岗人数，{arm}"),
    "week.days": ("Mon Tue Wed Thu Fri Sat Sun", "周一 周二 周三 周四 周五 周六 周日"),
    "staffed.caption": ("How busy the desks are", "各岗位忙碌程度"),
    "station": ("desk", "岗位"),
    "utilisation": ("time in use", "占用率"),
    "wait": ("wait, h", "等候（小时）"),
    # Sensitivity
    "sobol.title": ("Share of the result's variance that each assumption carries", "各项假设对结果方差的贡献"),
    "sobol.first": ("alone (first order)", "单独作用（一阶）"),
    "sobol.total": ("with its interactions (total)", "含交互作用（总效应）"),
    "sobol.alt": (
        "Paired bars of Sobol indices. Largest total: {list}.",
        "索博尔指数成对条形图。总效应最大者：{list}。",
    ),
    "sobol.note": (
        "Sobol indices of the {statistic}, {clock}, all assumptions varied together over their ranges. Where an "
        "interval is wide, or an index negative, the run was too small to tell.",
        "{clock}{statistic}的索博尔指数；所有假设在其取值范围内同时变动。区间很宽或指数为负，说明模拟规模不足以判断。",
    ),
    "sobol.spread": (
        "Over all ranges together ({evaluations:,} draws, arm: {arm}), 90 % of the draws lie between {low} and {high} "
        "hours, half of them below {median}; {within} reach {target:g} hours.",
        "所有假设在其范围内同时变动（{evaluations:,} 次抽样，方案：{arm}）：90% 的结果介于 {low} 与 {high} 小时之间，"
        "半数低于 {median} 小时；{within} 达到 {target:g} 小时。",
    ),
    "tornado.title": ("The result as one assumption moves over its range", "单项假设在其范围内变动时的结果"),
    "tornado.alt": (
        "Bars around the base of {base} hours. Widest: {list}.",
        "以基准 {base} 小时为中心的条形。跨度最大者：{list}。",
    ),
    "tornado.note": (
        "○ assumption at its low end, ● at its high end; the line is the base, {base} h.",
        "○ 假设取下限，● 假设取上限；竖线为基准 {base} 小时。",
    ),
    "parameters.caption": ("Every assumption, and what it rests on", "全部假设及其依据"),
    "source": ("source", "来源"),
    "known.assumption": ("assumed", "假设"),
    "range.caption": ("Assumptions and their ranges", "假设及其范围"),
    "assumption": ("assumption", "假设"),
    "range": ("range", "范围"),
    # Validation
    "validation.title": ("Predicted and published, each with its tolerance", "预测值与公布值及其容差"),
    "validation.alt": (
        "{inside} of {count} published figures lie within tolerance. Outside: {list}.",
        "{count} 项公布数据中有 {inside} 项在容差之内。未吻合：{list}。",
    ),
    "validation.count": (
        "{inside} of {count} figures that the model was not fitted to lie within tolerance. Those that do not are "
        "marked and stay in the table.",
        "未用于拟合的 {count} 项数据中有 {inside} 项在容差之内。未吻合者已标出并保留在表中。",
    ),
    "validation.caption": ("Figures that the model was not fitted to", "未用于拟合的数据"),
    "calibration.caption": ("Figures that the model was fitted to", "用于拟合的数据"),
    "study": ("study", "研究"),
    "what": ("figure", "指标"),
    "published": ("published", "公布值"),
    "predicted": ("predicted", "预测值"),
    "fitted": ("fitted", "拟合值"),
    "simulated": ("simulated", "模拟值"),
    "tolerance": ("tolerance", "容差"),
    "known": ("basis", "依据"),
    "inside": ("● inside", "● 吻合"),
    "outside": ("■ outside", "■ 未吻合"),
    "result": ("result", "结果"),
    "note": ("note", "说明"),
    "known.seen": ("seen in the source", "见于来源"),
    "known.derived": ("derived from the source", "由来源推算"),
    "known.general": ("general knowledge", "一般知识"),
    "unit.h": ("h", "小时"),
    "unit.d": ("days", "天"),
    "unit.per cent": ("%", "%"),
    "factor": ("× or ÷ {factor}", "×或÷ {factor}"),
    "slack": (", or ± {slack}", "，或 ± {slack}"),
    "nobody": ("none", "无"),
    # Fraud
    "fraud.caption": (
        "Of 10,000 consignments: false papers, and how many are caught",
        "每一万票货物中的虚假单证及其查获数",
    ),
    "fraud.forged": ("forged", "伪造"),
    "fraud.caught": ("of these caught", "其中查获"),
    "fraud.false": ("false but signed", "已签名但内容虚假"),
    "fraud.note": (
        "Verified records expose forgery. They do not expose a true signature under a false statement.",
        "经核验的记录可以识破伪造，但识不破真实签名之下的虚假内容。",
    ),
    # Measured
    "trs.caption": (
        "Time release study of {source}: {released:,} released, {open:,} still open, {aside:,} set aside",
        "{source} 的货物放行时间研究：已放行 {released:,} 票，未结 {open:,} 票，剔除 {aside:,} 票",
    ),
    "trs.note": (
        "[ ] {level} bootstrap by {by}. “Kaplan-Meier” also counts the goods still waiting. "
        "Nothing extreme was removed.",
        "[ ] 内为按{by}重抽样所得 {level} 置信区间。“Kaplan-Meier” 一列计入尚未放行的货物。未剔除极端值。",
    ),
    "by.day": ("day", "日"),
    "by.replication": ("replication", "重复"),
    "by.declaration": ("declaration", "报关单"),
    "group.all": ("all", "全部"),
    "group.peak=peak": ("peak hours", "高峰时段"),
    "group.peak=off-peak": ("off-peak hours", "非高峰时段"),
    "group": ("cases", "范围"),
    "count": ("n", "票数"),
    "km": ("Kaplan-Meier median", "Kaplan-Meier 中位数"),
    "trs.stages": ("Where the time went in {source}", "{source}：时间花在哪里"),
    "trs.cases": ("cases", "票数"),
    "trs.waiting": ("of it waiting", "其中等候"),
    "trs.per_case": ("mean per released case", "每票已放行货物平均"),
    "probe.caption": (
        "Asked of a running Provenport: {count} declarations",
        "对运行中的 Provenport 实测：{count} 票报关单",
    ),
    "probe.measure": ("measured", "测量项目"),
    "seconds": ("seconds", "秒"),
    "probe.lodgeToAnswer": ("lodgement to answer", "提交申报到收到回执"),
    "probe.lodgeToVerdict": ("lodgement to verdict", "提交申报到给出判定"),
    "probe.lodgeToAnchored": ("lodgement to anchored", "提交申报到上链存证"),
    "probe.lodgeToFinal": ("lodgement to final", "提交申报到最终确认"),
    "probe.decisionToAnswer": ("decision to answer", "作出决定到收到回执"),
    "probe.decisionToAnchored": ("decision to anchored", "作出决定到上链存证"),
    "probe.decisionToFinal": ("decision to final", "作出决定到最终确认"),
    "probe.verify": ("verification of a bundle", "核验一份存证文件"),
    "probe.detection": ("Papers that should be caught, and were", "应当识破的单证及识破情况"),
    "probe.kind": ("papers", "单证"),
    "probe.tried": ("tried", "测试数"),
    "probe.caught": ("caught", "识破"),
    "probe.undecided": ("undecided", "无法判定"),
    "probe.passed": ("passed", "通过"),
    "probe.good": ("good papers", "真实单证"),
    "probe.wrong": ("wrong declarations", "申报有误"),
    "probe.forged": ("forged papers", "伪造单证"),
    # One run
    "run.subtitle": ("One scenario, simulated", "单一情景仿真"),
    "run.made": (
        "seed {seed} · {replications:,} replications · first {warm_up:,} declarations of each left out · "
        "[ ] {level} interval",
        "种子 {seed} · {replications:,} 次重复 · 每次略去最初 {warm_up:,} 票 · [ ] 为 {level} 置信区间",
    ),
    "run.clocks.title": ("Time from end to end", "全程用时"),
    "run.clocks.alt": (
        "Marks for median, mean, P90 and P95. Means: {list}.",
        "标出中位数、平均、P90、P95。平均：{list}。",
    ),
    "run.clocks.note": (
        "The mean is the filled mark: of waiting times it lies far right of the median.",
        "实心标记为平均值：等候时间的平均值通常远大于中位数。",
    ),
    "run.stations.title": ("Mean hours waiting and being worked on", "平均等候与办理小时数"),
    "run.stations.alt": (
        "Stacked bars by desk. Mean hours waiting: {list}.",
        "按岗位堆叠的条形。平均等候小时数：{list}。",
    ),
    "run.stations.caption": ("The desks", "各岗位"),
    "run.waiting": ("waiting", "等候"),
    "run.working": ("being worked on", "办理"),
    "run.entered": ("came", "到达票数"),
    "run.wait_p90": ("wait P90, h", "等候 P90（小时）"),
    "run.queue": ("waiting on average", "平均等候票数"),
    "run.busy": ("worked on, on average", "平均在办票数"),
    "clock.lodgement to release": ("lodgement → release", "申报→放行"),
    "clock.arrival to release": ("arrival → release", "到达→放行"),
    "clock.total": ("from end to end", "全程"),
    # Method
    "method.text": (
        "A discrete-event simulation of customs clearance from arrival to release. Every arm sees the same goods, "
        "traders and random numbers, so that differences come from the procedure alone. Intervals are 95 % over "
        "independent replications. Each lever was switched on and off in all combinations. A clock always starts at "
        "the same event in both arms of a comparison: comparing an arrival-based “before” with a lodgement-based "
        "“after” shows a saving of some 90 % where nothing changed.",
        "本报告采用从到达至放行的通关离散事件仿真。各方案面对相同的货物、企业与随机数，差异只来自流程本身。"
        "置信区间为独立重复所得的 95% 区间。各项措施的全部组合均已模拟。比较双方的计时总以同一事件起算："
        "若“改革前”自到达起算、“改革后”自申报起算，即使什么都没有改变，也会显得节省约 90%。",
    ),
    "limits": ("Limits", "局限"),
    "limit.averages": (
        "Published averages say little about single stages: their lengths are fitted to totals, within the ranges "
        "shown.",
        "公布的平均值很少说明各个环节：各环节时长在所列范围内按总时长拟合。",
    ),
    "limit.choice": (
        "Delay is partly chosen: importers use the port as storage or defer duty. Averages cannot tell how much.",
        "部分延误出于企业自身选择，例如把港口当作仓库或推迟缴税；仅凭平均值无法区分。",
    ),
    "limit.law": (
        "Levers that need a law or another agency's consent are assumed to be granted where they are switched on.",
        "需要立法或其他机构同意的措施，一经启用即假定已获准。",
    ),
    "limit.measured": (
        "The ledger's own speed is {source}.",
        "账本自身的速度取自：{source}。",
    ),
    "measured.assumption": ("assumed, not measured", "假设值，非实测"),
    "consistency": ("Consistency of related claims", "相关说法的一致性"),
    "repeat": ("To repeat it exactly", "精确复现"),
    "repeat.text": (
        "The same version, seed and numbers give the same figures to the last digit, on any number of processors.",
        "版本、种子与规模相同，则无论使用多少处理器，各项数字完全相同。",
    ),
    "versions.caption": ("Made with", "运行环境"),
    "name": ("name", "名称"),
    "value": ("value", "值"),
    "version": ("version", "版本"),
    "replications": ("replications", "重复次数"),
    "declarations": ("declarations in each", "每次报关单数"),
    "seed": ("seed", "种子"),
    "workers": ("workers", "并行数"),
    "seconds_taken": ("time taken, s", "用时（秒）"),
    "sources": ("Sources", "来源"),
    "sources.text": (
        "WCO, Guide to Measure the Time Required for the Release of Goods (version 3, 2018); WTO Trade Facilitation "
        "Agreement, article 7.6; Shapley (1953); Sobol (2001); Saltelli et al. (2010); Kaplan and Meier (1958). "
        "Studies of single countries are named in the tables above.",
        "世界海关组织《货物放行时间测算指南》（第 3 版，2018 年）；世界贸易组织《贸易便利化协定》第 7.6 条；"
        "Shapley（1953）；Sobol（2001）；Saltelli 等（2010）；Kaplan 与 Meier（1958）。各国研究见上列各表。",
    ),
    "missing": (
        "Not part of this run, and therefore not shown: {list}.",
        "本次运行未包含、因而未列出：{list}。",
    ),
}


@dataclass(frozen=True)
class Words:
    """The words and numbers of one language."""

    language: str

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"no report in {self.language!r}: choose {' or '.join(LANGUAGES)}")

    def say(self, key: str, **values: object) -> str:
        """The word or sentence of this name."""
        return WORDS[key][LANGUAGES.index(self.language)].format(**values)

    def name(self, kind: str, key: str) -> str:
        """A thing's name where there is a word for it, else the key itself."""
        return self.say(f"{kind}.{key}") if f"{kind}.{key}" in WORDS else key.replace("_", " ")

    def text(self, figure: Any) -> str:
        """What results say themselves, in both languages or in none."""
        return str(figure[self.language]) if isinstance(figure, Mapping) else "" if figure is None else str(figure)

    def title(self, kind: str, thing: Json, key: str) -> str:
        """A thing's own title, else the word for its key."""
        return self.text(thing["title"]) if thing.get("title") else self.name(kind, str(thing[key]))

    def station(self, name: str, figure: Json) -> str:
        """A station's own title, else the word for its name."""
        return self.title("station", {"name": name, **figure}, "name")

    def clock(self, name: str) -> str:
        """A clock's name."""
        return self.name("clock", name)

    def joined(self, items: list[str]) -> str:
        """A list as people write it."""
        return self.say("sep").join(items) if items else self.say("nobody")

    def hours(self, value: float) -> str:
        """Hours with their unit."""
        return f"{number(value)} {self.say('h')}"


def number(value: float | None) -> str:
    """A figure with as many digits as it bears."""
    if value is None:
        return "–"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")


def percent(share: float | None) -> str:
    """A share of one, as percent."""
    return "–" if share is None else f"{100 * share:.1f} %"


def estimate(figure: Any, scale: float = 1.0) -> str:
    """A figure with its interval, where it has one."""
    if figure is None:
        return "–"
    if not isinstance(figure, Mapping):
        return number(float(figure) * scale)
    if figure.get("low") is None or figure.get("high") is None:
        return number(figure["value"] * scale)
    return f"{number(figure['value'] * scale)} [{number(figure['low'] * scale)}, {number(figure['high'] * scale)}]"


def share(figure: Any) -> str:
    """A share in percent with its interval, which ends where shares end."""
    if not isinstance(figure, Mapping):
        return estimate(figure, 100)
    ends = {key: None if figure.get(key) is None else min(max(float(figure[key]), 0.0), 1.0) for key in ("low", "high")}
    return estimate({"value": figure["value"], **ends}, 100)


def value_of(figure: Any) -> float:
    """The figure alone."""
    return float(figure["value"]) if isinstance(figure, Mapping) else float(figure)


def bounds_of(figure: Any) -> tuple[float, float]:
    """The interval's ends; the figure itself where there is none."""
    value = value_of(figure)
    if not isinstance(figure, Mapping):
        return value, value
    low, high = figure.get("low"), figure.get("high")
    return (value if low is None else float(low), value if high is None else float(high))
