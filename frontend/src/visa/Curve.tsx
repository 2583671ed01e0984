import { useEffect, useRef } from "react";
import type uPlot from "uplot";
import type { Schemas } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import "uplot/dist/uPlot.min.css";

type Point = Schemas["CurvePoint"];

const HEIGHT = 260;

/** The part of all cases that is decided, by days since the application, with its 95 % band. The same
 *  numbers stand in the table below it, which is what screen readers get. */
export function Curve({ points }: { points: readonly Point[] }) {
  const { t } = useI18n();
  const place = useRef<HTMLDivElement>(null);
  const label = t("visa.decided_share");
  const lower = t("visa.lower_bound");
  const upper = t("visa.upper_bound");
  const days = t("visa.days_since");
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    let plot: uPlot | null = null;
    let isGone = false;
    const resize = new ResizeObserver(() =>
      plot?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    void import("uplot").then(({ default: Plot }) => {
      if (isGone) return;
      const style = getComputedStyle(document.documentElement);
      const colour = (name: string) => style.getPropertyValue(name).trim();
      const stepped = Plot.paths.stepped?.({ align: 1 });
      const axis = {
        stroke: colour("--ink-soft"),
        grid: { stroke: colour("--line"), width: 1 },
        ticks: { stroke: colour("--line"), width: 1 },
      };
      const percent = (part: number) => Math.round((1 - part) * 1000) / 10;
      const rows = [{ days: 0, waiting: 1, lower: 1, upper: 1 }, ...points];
      const line = { width: 1, dash: [4, 4], paths: stepped, points: { show: false } };
      plot = new Plot(
        {
          width: element.clientWidth,
          height: HEIGHT,
          legend: { show: true, live: true },
          scales: { x: { time: false }, y: { range: [0, 100] } },
          axes: [
            { ...axis, label: days },
            { ...axis, values: (_, values) => values.map((value) => `${value} %`), size: 55 },
          ],
          series: [
            { label: days },
            {
              label,
              stroke: colour("--tile"),
              width: 3,
              paths: stepped,
              points: { show: false },
            },
            { ...line, label: lower, stroke: colour("--line-strong") },
            { ...line, label: upper, stroke: colour("--line-strong") },
          ],
        },
        [
          rows.map((row) => row.days),
          rows.map((row) => percent(row.waiting)),
          rows.map((row) => percent(row.upper)),
          rows.map((row) => percent(row.lower)),
        ],
        element,
      );
      resize.observe(element);
    });
    return () => {
      isGone = true;
      resize.disconnect();
      plot?.destroy();
    };
  }, [points, label, lower, upper, days]);
  // A chart's time goes from left to right in every language.
  return <div ref={place} dir="ltr" aria-hidden="true" className="min-h-72 overflow-hidden" />;
}
