// GET_DSP_INFO: domains, ids, the order of the checks, the channel's cache (KERNEL 1.13).
#include "run.hpp"

namespace fastrpc::conformance {

namespace {

int info(Run& run, int file, std::uint32_t domain, std::uint32_t id, const std::string& name = "info") {
    vdsp_dsp_info request{.domain = domain, .attribute_id = id, .capability = 0xAAAAAAAA, .reserved = {1, 2, 3, 4}};
    const int rc = run.ioctl(file, VDSP_GET_DSP_INFO, request, name);
    run.output(print("domain=%u id=%u value=%x reserved=%u,%u", request.domain, request.attribute_id,
                     request.capability, request.reserved[0], request.reserved[3]));
    return rc;
}

} // namespace

void add_info_cases(Cases& cases) {
    for (const std::uint32_t id : {0U, 1U, 2U, 6U, 127U, 129U, 254U, 255U})
        cases.push_back({.name = print("info/id/%u", id),
                         .body = [id](Run& run) { info(run, run.open("cdsp"), 3, id); },
                         .fresh = true});
    for (const std::uint32_t id : {256U, 257U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU})
        cases.push_back({print("info/id-too-high/%x", id), [id](Run& run) { info(run, run.open("cdsp"), 3, id); }});
    for (const std::uint32_t domain : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 0x80000000U, 0xFFFFFFFFU})
        cases.push_back({.name = print("info/domain/%x", domain),
                         .body = [domain](Run& run) { info(run, run.open("cdsp"), domain, 6); },
                         .fresh = true});
    for (const auto& [node, domain] :
         {std::pair{"cdsp-secure", "cdsp"}, {"cdsp1", "cdsp1"}, {"adsp-secure", "adsp"}, {"sdsp", "sdsp"}})
        cases.push_back({.name = print("info/node/%s", node),
                         .body = [node = std::string(node)](Run& run) { info(run, run.open(node), 3, 6); },
                         .domain = domain,
                         .fresh = true});
    for (const std::uint32_t domain : {1U, 5U})
        cases.push_back({print("info/checks/domain-%u-before-id", domain),
                         [domain](Run& run) { info(run, run.open("cdsp"), domain, 300); }});
    cases.push_back({.name = "info/cache/asked-once-per-channel",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             info(run, file, 3, 6);
                             info(run, file, 3, 7);
                             info(run, run.open("cdsp-secure"), 3, 8);
                             info(run, file, 0, 9);
                         },
                     .fresh = true});
    cases.push_back({.name = "info/cache/id-0-asks-too",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             info(run, file, 3, 0);
                             info(run, file, 3, 1);
                         },
                     .fresh = true});
    cases.push_back({.name = "info/cache/checks-stay",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             info(run, file, 3, 6);
                             info(run, file, 1, 6, "domain-1");
                             info(run, file, 3, 256, "id-256");
                         },
                     .fresh = true});
    for (const std::int64_t result :
         {std::int64_t{0x80000414}, std::int64_t{39}, std::int64_t{-22}, std::int64_t{0x8000040D}})
        cases.push_back({.name = print("info/refused/%x", static_cast<unsigned>(result)),
                         .body =
                             [result](Run& run) {
                                 const int file = run.open("cdsp");
                                 run.rule(file,
                                          {.handle = utilities_service, .result = static_cast<std::int32_t>(result)});
                                 info(run, file, 3, 6, "refused");
                                 info(run, file, 3, 6, "again");
                             },
                         .fresh = true});
    cases.push_back({.name = "info/pd-unchanged",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             run.raw_ioctl(file, VDSP_INIT_ATTACH_SNS, nullptr, "sensors");
                             info(run, file, 3, 6);
                             run.invoke(file, service, sc(2), {});
                         },
                     .fresh = true});
    cases.push_back({.name = "info/after-attach",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             run.attach(file);
                             info(run, file, 3, 6);
                         },
                     .fresh = true});
}

} // namespace fastrpc::conformance
