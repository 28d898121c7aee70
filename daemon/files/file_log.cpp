#include "daemon/files/file_log.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <ctime>

namespace fastrpc::daemon {
namespace {

std::uint64_t now_us() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

} // namespace

bool is_quiet(std::string_view name) noexcept {
    const std::string_view base = name.substr(name.rfind('/') + 1); // npos + 1 is 0
    return base == "oemconfig.so" || base == "librpcversion_skel.so" || base.starts_with("testsig");
}

FileReport& FileLog::entry(std::string_view name) {
    if (const auto found = reports_.find(name); found != reports_.end()) return found->second;
    const std::string key = printable(name); // the same again for the names of decent firmware
    if (const auto found = reports_.find(key); found != reports_.end()) return found->second;
    if (reports_.size() >= most) {
        const auto oldest =
            std::ranges::min_element(reports_, std::less(), [](const auto& report) { return report.second.sequence; });
        reports_.erase(oldest);
    }
    FileReport& report = reports_[key];
    report.name = key;
    return report;
}

void FileLog::touch(FileReport& report) {
    report.sequence = ++last_sequence_;
    report.last_us = now_us();
}

void FileLog::opened(std::string_view name, std::string_view place) {
    {
        const std::scoped_lock lock(mutex_);
        FileReport& report = entry(name);
        ++report.opens;
        report.problem.clear();
        if (report.places.size() != 1 || report.places.front() != place) report.places = {printable(place, 4096)};
        touch(report);
    }
    if (on_news_) on_news_();
}

void FileLog::appeared(std::string_view name, std::string_view place) {
    const std::scoped_lock lock(mutex_);
    const auto found = reports_.find(name);
    if (found == reports_.end() || !found->second.missing()) return;
    found->second.problem.clear();
    found->second.places = {printable(place, 4096)};
    touch(found->second);
}

void FileLog::moved(std::string_view name, std::uint64_t read, std::uint64_t written) {
    const std::scoped_lock lock(mutex_);
    FileReport& report = entry(name);
    report.bytes_read += read;
    report.bytes_written += written;
    touch(report);
}

void FileLog::missed(std::string_view name, std::string_view problem, std::vector<std::string> places) {
    if (is_quiet(name)) return;
    if (places.size() > most_places) places.resize(most_places);
    for (std::string& place : places) place = printable(place);
    {
        const std::scoped_lock lock(mutex_);
        FileReport& report = entry(name);
        ++report.refusals;
        report.problem = printable(problem);
        report.places = std::move(places);
        touch(report);
        last_missed_ = report.name;
        if (report.problem != not_found) last_missed_.append(" (").append(report.problem).append(")");
        misses_.fetch_add(1, std::memory_order_relaxed);
    }
    if (on_news_) on_news_();
}

std::string FileLog::last_missed() const {
    const std::scoped_lock lock(mutex_);
    return last_missed_;
}

std::vector<FileReport> FileLog::since(std::uint64_t sequence, std::size_t limit) const {
    const std::scoped_lock lock(mutex_);
    std::vector<const FileReport*> later;
    for (const auto& [name, report] : reports_)
        if (report.sequence > sequence) later.push_back(&report);
    std::ranges::sort(later, std::less(), [](const FileReport* report) { return report->sequence; });
    if (later.size() > limit) later.resize(limit);
    std::vector<FileReport> reports;
    for (const FileReport* report : later) reports.push_back(*report);
    return reports;
}

} // namespace fastrpc::daemon
