// Methods that a host answers: the call waits, the loop does not.
#include "broker/object_tables.hpp"

#include <memory>

namespace fastrpc::broker {
namespace {

int append_report(sd_bus_message* reply, const FileReport& report) {
    int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_STRUCT, "tsassttttt");
    if (step >= 0) step = append(reply, report.sequence);
    if (step >= 0) step = append(reply, std::string_view(report.name));
    if (step >= 0) step = append(reply, report.places);
    if (step >= 0) step = append(reply, std::string_view(report.problem));
    for (const std::uint64_t number :
         {report.opens, report.refusals, report.bytes_read, report.bytes_written, report.last_us})
        if (step >= 0) step = append(reply, number);
    return step < 0 ? step : ::sd_bus_message_close_container(reply);
}

int append_page(sd_bus_message* reply, const FilesPage& page) {
    int step = ::sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(tsassttttt)");
    for (const FileReport& report : page.reports)
        if (step >= 0) step = append_report(reply, report);
    if (step >= 0) step = ::sd_bus_message_close_container(reply);
    return step < 0 ? step : append(reply, page.more);
}

} // namespace

int answer_usage(sd_bus_message* call, HostLink& link) {
    link.query([held = MessageRef(call)](const Result<Counters>& counters) {
        if (!counters)
            reply_error(held.get(), counters.error());
        else
            reply_with(held.get(), [&](sd_bus_message* reply) { return Dictionary(reply).add(*counters).close(); });
    });
    return 1;
}

int answer_files(sd_bus_message* call, HostLink& link) {
    std::uint64_t since = 0;
    if (const int step = ::sd_bus_message_read(call, "t", &since); step < 0) return step;
    auto charge = objects_of(call).charge_question(call);
    if (!charge) return reply_error(call, charge.error());
    const auto shared = std::make_shared<Charge>(std::move(*charge)); // a std::function wants to be copyable
    link.files(since, [held = MessageRef(call), shared](const Result<FilesPage>& page) {
        if (!page)
            reply_error(held.get(), page.error());
        else
            reply_with(held.get(), [&](sd_bus_message* reply) { return append_page(reply, *page); });
    });
    return 1;
}

} // namespace fastrpc::broker
